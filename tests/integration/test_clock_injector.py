"""The code that skews a process's clocks, on real processes: what they see then, and after the heal."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clock_servers import HOUR_NS, Server, kernels_bytes, near

from clusters.agent.architectures import X86_64
from clusters.agent.clock import Clock
from clusters.agent.processes import Refused
from clusters.agent.vdso import Image

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="clocks are skewed on x86_64 only")
Start = Callable[[list[str]], Server]

PERL = """
use Time::HiRes qw(clock_gettime CLOCK_REALTIME CLOCK_MONOTONIC gettimeofday);
$| = 1; print "up\\n";
while (<STDIN>) {
    my ($s, $us) = gettimeofday();
    print join(" ", map({ sprintf "%.0f", 1e9 * $_ } clock_gettime(CLOCK_REALTIME), clock_gettime(CLOCK_MONOTONIC)),
        $s * 1000000000 + $us * 1000, time() * 1000000000), "\\n";
}
"""


@pytest.mark.parametrize("offset_ns", [3 * HOUR_NS, -48 * HOUR_NS, 5_000_000])
def test_a_server_sees_the_offset_and_then_the_right_time(busy: Server, offset_ns: int) -> None:
    """What the process itself reads is off by just as much, its monotonic clock is not, and the heal restores all."""
    clock = Clock(lambda: [busy.pid])
    assert near(busy.offset_ns(), 0)
    clock.skew([(1000, offset_ns, 0)], ["realtime"])
    assert near(busy.offset_ns(), offset_ns)
    assert not kernels_bytes(busy.pid)
    (look,) = clock.read()
    for name, wanted in (("realtime", offset_ns), ("monotonic", 0)):
        offset, error, planned = look["clocks"][name]
        assert planned == wanted
        assert near(offset, wanted, error + 100_000)
    assert clock.heal() == ""
    assert near(busy.offset_ns(), 0)
    assert kernels_bytes(busy.pid)


def test_every_way_to_ask_for_the_time_is_skewed(start: Start) -> None:
    """A program in C sees one skew by clock_gettime, gettimeofday and time; of its monotonic clock only if asked."""
    if shutil.which("perl") is None:
        pytest.skip("perl, which calls all three, is not installed")
    server = start(["perl", "-e", PERL])
    clock = Clock(lambda: [server.pid])
    clock.skew([(1000, -HOUR_NS, 0)], ["realtime"])
    gettime, monotonic, timeofday, seconds = server.tells()
    now = time.time_ns() - HOUR_NS
    assert near(gettime, now, 50_000_000)
    assert near(timeofday, now, 50_000_000)
    assert near(seconds, now - 500_000_000, 550_000_000)
    assert near(monotonic, time.monotonic_ns(), 50_000_000)
    clock.skew([(1000, HOUR_NS, 0)], ["monotonic"])
    gettime, monotonic, *_ = server.tells()
    assert near(gettime, time.time_ns(), 50_000_000)
    assert near(monotonic, time.monotonic_ns() + HOUR_NS, 50_000_000)
    clock.heal()
    assert kernels_bytes(server.pid)


JAVA = """
public class Clocks {
    public static void main(String[] none) throws Exception {
        System.out.println("up");
        while (System.in.read() >= 0)
            System.out.println(System.currentTimeMillis() * 1000000L + " " + System.nanoTime());
    }
}
"""


def test_a_java_server_is_skewed_too(start: Start, tmp_path: Path) -> None:
    """The JVM, with all its threads, sees the offset and survives both ways."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    (tmp_path / "Clocks.java").write_text(JAVA)
    argv = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", str(tmp_path / "Clocks.java")]
    try:
        server = start(argv)
    except AssertionError:
        pytest.skip("this java does not run a source file: it is no JDK")
    clock = Clock(lambda: [server.pid])
    clock.skew([(1000, 24 * HOUR_NS, 0)], ["realtime"])
    assert near(server.offset_ns(), 24 * HOUR_NS, 5_000_000)
    clock.heal()
    assert near(server.offset_ns(), 0, 5_000_000)
    assert kernels_bytes(server.pid)


def test_a_drift_and_a_programme_of_steps_are_followed(busy: Server) -> None:
    """The offset grows by the rate; steps hold for their time, begin anew after the last, and are what is measured."""
    clock = Clock(lambda: [busy.pid])
    began = time.monotonic()
    clock.skew([(1000, 0, 0.5)], ["realtime"])
    time.sleep(0.05)
    least, told = 0.5 * (time.monotonic() - began), busy.offset_ns() / 1e9
    assert least - 0.05 < told < 0.5 * (time.monotonic() - began) + 0.002
    clock.skew([(0.02, HOUR_NS, 0), (0.02, -HOUR_NS, 0), (0.02, 0, 0)], ["realtime"])
    seen = set()
    deadline = time.monotonic() + 5
    while len(seen) < 3 and time.monotonic() < deadline:
        clock.tick()
        seen.add(round(busy.offset_ns() / HOUR_NS))
    assert seen == {1, -1, 0}
    assert clock.heal() == ""


def test_without_zeros_the_section_headers_give_room(busy: Server) -> None:
    """Where the vDSO's padding is too small, our code lies in what only debuggers read, and the heal puts that back."""
    own = Image.own()
    too_long = X86_64.probe.ljust(len(own.original) - own.probe + 1, b"\0")
    image = Image(X86_64._replace(probe=too_long), own.original)
    assert image.payload < own.payload
    clock = Clock(lambda: [busy.pid])
    clock.image = image
    clock.skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert near(busy.offset_ns(), HOUR_NS)
    assert near(clock.read()[0]["clocks"]["realtime"][0], HOUR_NS, 20_000_000)
    assert clock.heal() == ""
    assert kernels_bytes(busy.pid)
    assert near(busy.offset_ns(), 0)
    with pytest.raises(Refused, match="has no room"):
        Image(X86_64._replace(code=bytes(1 << 20)), own.original)


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other machines, empty programmes, unknown clocks and impossible rates are refused in plain words."""
    clock = Clock(list)
    for programme, clocks in (([], ["realtime"]), ([(1, 1, 0)], []), ([(1, 1, 0)], ["tai"])):
        with pytest.raises(Refused, match="a skew needs steps, and clocks out of realtime, monotonic"):
            clock.skew(programme, clocks)
    with pytest.raises(Refused, match="with a rate of"):
        clock.skew([(1, 0, -1)], ["realtime"])
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(
        Refused, match=r"on x86_64 only \(for aarch64 .* not been tested .*\), and this node is aarch64"
    ):
        clock.skew([(1, 1, 0)], ["realtime"])
