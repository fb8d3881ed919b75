"""The code that skews a process's clocks, on real processes: put in, changed, measured, taken out, killed meanwhile."""

from __future__ import annotations

import itertools
import os
import platform
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until_now

from clusters.agent import ptrace, vdso
from clusters.agent.clock import Clock
from clusters.agent.processes import Refused, thread_states
from clusters.agent.vdso import Image, Skew, Target

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="clocks are skewed on x86_64 only")

CYCLES = int(os.environ.get("KINGSLAYER_SKEW_CYCLES", "50"))
HOUR_NS = 3600 * 10**9

PYTHON = """
import signal, sys, threading, time
def spin():
    while True:
        time.time(); time.monotonic()
signal.signal(signal.SIGALRM, lambda *_: time.time())
signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
for _ in range(3): threading.Thread(target=spin, daemon=True).start()
before = 0
print("up", flush=True)
for line in sys.stdin:
    print(time.time_ns(), time.monotonic_ns(), flush=True)
"""
PERL = """
use Time::HiRes qw(clock_gettime CLOCK_REALTIME CLOCK_MONOTONIC gettimeofday);
$| = 1; print "up\\n";
while (<STDIN>) {
    my ($s, $us) = gettimeofday();
    print join(" ", map({ sprintf "%.0f", 1e9 * $_ } clock_gettime(CLOCK_REALTIME), clock_gettime(CLOCK_MONOTONIC)),
        $s * 1000000000 + $us * 1000, time() * 1000000000), "\\n";
}
"""


class Server:
    """A process that tells its clocks in ns when it is asked."""

    def __init__(self, argv: list[str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "up\n"
        self.pid = self.process.pid

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def tells(self) -> list[int]:
        """Return what its clocks say."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [int(word) for word in self._line().split()]

    def offset_ns(self) -> int:
        """Return how far its realtime is ahead of ours, both against the monotonic clock, which we share."""
        realtime, monotonic, *_ = self.tells()
        return realtime - monotonic - (time.time_ns() - time.monotonic_ns())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


Start = Callable[[list[str]], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers, and end them all."""
    servers: list[Server] = []

    def begin(argv: list[str]) -> Server:
        servers.append(Server(argv))
        return servers[-1]

    yield begin
    for server in servers:
        server.end()


@pytest.fixture
def busy(start: Start) -> Server:
    """Four threads that read clocks without pause, and a signal's handler that does so every 0.7 ms."""
    return start([sys.executable, "-c", PYTHON])


def near(one: int, other: int, within_ns: int = 2_000_000) -> bool:
    """Say whether two times are the same but for what passes between two readings."""
    return abs(one - other) < within_ns


def kernels_bytes(pid: int) -> bool:
    """Say, without the code under test, whether a process's vDSO is that of this one."""
    images = []
    for each in ("self", str(pid)):
        line = next(line for line in Path(f"/proc/{each}/maps").read_text().splitlines() if line.endswith("[vdso]"))
        first, last = (int(part, 16) for part in line.split()[0].split("-"))
        with open(f"/proc/{each}/mem", "rb") as memory:
            memory.seek(first)
            images.append(memory.read(last - first))
    return images[0] == images[1]


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


def test_a_paused_server_is_skewed_and_stays_paused(busy: Server) -> None:
    """Injecting, changing, measuring and healing need no running server, and leave a stopped one stopped."""
    clock = Clock(lambda: [busy.pid])
    os.kill(busy.pid, signal.SIGSTOP)
    until_now(lambda: set(thread_states(busy.pid)) == {"T"}, "stopped")
    clock.skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert near(clock.read()[0]["clocks"]["realtime"][0], HOUR_NS, 20_000_000)
    until_now(lambda: set(thread_states(busy.pid)) == {"T"}, "still stopped")
    os.kill(busy.pid, signal.SIGCONT)
    assert near(busy.offset_ns(), HOUR_NS)
    os.kill(busy.pid, signal.SIGSTOP)
    clock.heal()
    assert kernels_bytes(busy.pid)
    os.kill(busy.pid, signal.SIGCONT)
    assert near(busy.offset_ns(), 0)


def test_many_skews_under_load_leave_the_server_as_it_was(busy: Server) -> None:
    """After each of many injections and heals the process lives, sees the right time and has the kernel's bytes."""
    clock = Clock(lambda: [busy.pid])
    for cycle in range(CYCLES):
        clock.skew([(1000, (cycle - 25) * HOUR_NS + 1, 0)], ["realtime"])
        clock.read()
        assert clock.heal() == ""
        assert kernels_bytes(busy.pid)
    assert near(busy.offset_ns(), 0)
    assert "t" not in thread_states(busy.pid)


def test_an_injector_killed_at_any_time_harms_nobody(busy: Server) -> None:
    """After each SIGKILL the server runs on, and the next injector puts right whatever state it finds."""
    chance = random.Random(5)
    image = Image()
    for _ in range(CYCLES):
        child = os.fork()
        if not child:
            try:
                target = Target(image, busy.pid)
                while True:
                    target.patch()
                    target.update(Skew(HOUR_NS), Skew())
                    target.clocks()
                    target.restore()
                    target.clocks()
            finally:
                os._exit(1)
        time.sleep(chance.random() * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        busy.tells()
        assert "t" not in thread_states(busy.pid)
    ptrace.apart(lambda: Target(image, busy.pid).restore())
    assert kernels_bytes(busy.pid)
    assert near(busy.offset_ns(), 0)


def test_a_reader_killed_at_any_step_harms_nobody(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step of a visit is our last, the thread that ran for us goes on where it was."""
    server = start(["python3", "-c", "import select; print('up', flush=True); select.epoll().poll(3); print('done')"])
    image, plain, began = Image(), ptrace.ptrace, time.monotonic()
    visit = ptrace.Stopped.visit
    steps = 0
    for last in itertools.count():
        child = os.fork()
        if not child:

            def step(*args: Any, left: Iterator[int] = itertools.count(last, -1)) -> None:
                if not next(left):
                    os.kill(os.getpid(), signal.SIGKILL)
                plain(*args)

            def counted(stopped: ptrace.Stopped, *args: Any) -> Any:
                monkeypatch.setattr(ptrace, "ptrace", step)
                return visit(stopped, *args)

            monkeypatch.setattr(ptrace.Stopped, "visit", counted)
            Target(image, server.pid).clocks()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        until_now(lambda: thread_states(server.pid) == ["S"], "goes on")
        if status == 0:
            break
        steps += 1
    assert steps > 8
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == "done\n"
    assert 2.9 < time.monotonic() - began + 0.1 < 4.5


def test_the_patch_of_another_version_is_undone(busy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch of which only the place is known is not taken for ours, and is replaced or removed all the same."""
    image = Image()
    with monkeypatch.context() as other:
        other.setattr(vdso, "CODE", vdso.CODE[:-2] + b"\x90\x90")
        ptrace.apart(lambda: Target(image, busy.pid).patch())
    target = Target(image, busy.pid)
    assert not target.patched()
    clock = Clock(lambda: [busy.pid])
    clock.skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert target.patched()
    assert near(busy.offset_ns(), HOUR_NS)
    clock.heal()
    assert kernels_bytes(busy.pid)


def test_without_zeros_the_section_headers_give_room(busy: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the vDSO's padding is too small, our code lies in what only debuggers read, and the heal puts that back."""
    with monkeypatch.context() as small:
        small.setattr(vdso, "ROOM_BYTES", len(Image().original) - Image().payload + 1)
        image = Image()
    assert image.payload < Image().payload
    clock = Clock(lambda: [busy.pid])
    clock.image = image
    clock.skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert near(busy.offset_ns(), HOUR_NS)
    assert near(clock.read()[0]["clocks"]["realtime"][0], HOUR_NS, 20_000_000)
    assert clock.heal() == ""
    assert kernels_bytes(busy.pid)
    assert near(busy.offset_ns(), 0)
    monkeypatch.setattr(vdso, "ROOM_BYTES", 1 << 20)
    with pytest.raises(Refused, match="has no room"):
        Image()


def test_a_vdso_that_is_not_the_kernels_is_refused(start: Start) -> None:
    """A process whose vDSO somebody else has changed is left alone, with a message that says so."""
    server = start([sys.executable, "-c", PYTHON])
    image = Image()
    target = Target(image, server.pid)
    with open(f"/proc/{server.pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(target.start + 0x30)
        memory.write(b"\x01")
    with pytest.raises(Refused, match="does not have this kernel's own 64-bit vDSO"):
        Clock(lambda: [server.pid]).skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert near(server.offset_ns(), 0)


VFORK = "import ctypes, time; print('up', flush=True); ctypes.CDLL(None).syscall(58) or time.sleep(600)"


def test_a_thread_that_cannot_stop_is_left_alone(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread hangs in the kernel, the attempt ends in time, says so, and has changed nothing."""
    server = start([sys.executable, "-c", VFORK])  # its child sleeps in its memory, and it waits, deaf, for the end
    until_now(lambda: thread_states(server.pid) == ["D"], "hangs")
    monkeypatch.setattr(ptrace, "TIMEOUT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(Refused, match=r"did not stop within 0\.3 s"):
        Clock(lambda: [server.pid]).skew([(1000, HOUR_NS, 0)], ["realtime"])
    assert time.monotonic() - began < 3
    assert kernels_bytes(server.pid)
    assert thread_states(server.pid) == ["D"]
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other machines, empty programmes, unknown clocks and impossible rates are refused in plain words."""
    clock = Clock(list)
    for programme, clocks in (([], ["realtime"]), ([(1, 1, 0)], []), ([(1, 1, 0)], ["tai"])):
        with pytest.raises(Refused, match="a skew needs steps, and clocks out of realtime, monotonic"):
            clock.skew(programme, clocks)
    with pytest.raises(Refused, match="with a rate of"):
        clock.skew([(1, 0, -1)], ["realtime"])
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(Refused, match="on x86_64 only, and this node is aarch64"):
        clock.skew([(1, 1, 0)], ["realtime"])


def test_the_code_is_what_its_source_says(tmp_path: Path) -> None:
    """payload.s, assembled, is the bytes that are written into servers, and its labels are where we take them to be."""
    if shutil.which("as") is None or shutil.which("objcopy") is None:
        pytest.skip("binutils are not installed")
    source = Path(vdso.__file__).with_name("payload.s")
    subprocess.run(["as", source, "-o", tmp_path / "payload.o"], check=True)
    argv = ["objcopy", "-O", "binary", "-j", ".text", tmp_path / "payload.o", tmp_path / "payload.bin"]
    subprocess.run(argv, check=True)
    assembled = (tmp_path / "payload.bin").read_bytes()
    assert assembled[: vdso.COUNT] == vdso.CODE
    assert assembled[vdso.COUNT : vdso.PAYLOAD_BYTES] == bytes(vdso.PAYLOAD_BYTES - vdso.COUNT)
    assert assembled[vdso.PAYLOAD_BYTES :] == vdso.PROBE
    listing = subprocess.run(["nm", tmp_path / "payload.o"], check=True, capture_output=True, text=True).stdout
    labels = {name: int(value, 16) for value, _, name in map(str.split, listing.splitlines())}
    assert {name: labels[name] for name in vdso.STUBS} == vdso.STUBS
    places = {"count": vdso.COUNT, "banks": vdso.BANKS, "probe": vdso.PAYLOAD_BYTES}
    assert {name: labels[name] for name in places} == places
    assert labels["which"] - labels["probe"] == vdso.WHICH
    assert struct.calcsize("<3q8x3q8x") == vdso.BANK_BYTES
