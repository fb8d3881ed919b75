"""The code that skews clocks, of each processor: assembled, put into a vDSO, and called; foreign code runs in qemu."""

from __future__ import annotations

import platform
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from clusters.agent import architectures
from clusters.agent.architectures import AARCH64, X86_64, Architecture
from clusters.agent.vdso import BANK_BYTES, BANK_COUNT, COUNT_BYTES, Image, Skew

ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}
SYSTEM_CALL = {"x86_64": ("0f05", "0f0b"), "aarch64": ("010000d4", "00000000")}
LOAD = {"x86_64": ("4d8b4010", "0f0b9090"), "aarch64": ("aa0840f9", "01000000")}
"""Instructions that make the system call or load an anchor, and illegal ones, in which payload_caller.c does it."""
REALTIME, MONOTONIC, NEITHER = (0, 5, 8, 11), (1, 4, 6, 7, 9), (2, 3, 10, 12, 32, 43, -1, -6)
EINVAL = 22
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
UNTOUCHED = -7
SOURCE = Path(__file__).with_name("payload_caller.c")

Name = str
Figures = tuple[Skew, Skew]


def tool(machine: Name, name: str) -> str:
    """Return a tool of the machine's binutils or compiler; skip the test where there is none."""
    full = name if machine == platform.machine() else f"{machine}-linux-gnu-{name}"
    if shutil.which(full) is None:
        pytest.skip(f"{full} is not installed")
    return full


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


class Call(NamedTuple):
    """One call of a replaced function."""

    function: str
    clock: int
    with_: int = 1  # a place for the result; 2, for the time zone; 3, both
    real_ns: int = 0
    fails: int = 0
    number: int = 0
    figures: Figures = (Skew(), Skew())


class Answer(NamedTuple):
    """What a call returned and left, and the real time before and after it."""

    returned: int
    seconds: int
    rest: int
    zone: int
    before_ns: int
    after_ns: int


class Caller:
    """A patched stand-in for the machine's vDSO, and the program that calls it."""

    def __init__(self, name: Name, folder: Path) -> None:
        self.name, self.folder = name, folder
        architecture = ARCHITECTURES[name]
        self.runner = [] if name == platform.machine() else [f"qemu-{name}"]
        if self.runner and shutil.which(self.runner[0]) is None:
            pytest.skip(f"{self.runner[0]} is not installed")
        run(tool(name, "gcc"), "-O2", "-Wall", "-Werror", "-static", "-o", folder / "caller", SOURCE)
        self.image = Image(architecture, vdso(name, architecture, folder))
        self.skewed = self.image.skewed()

    def told(self, calls: Iterable[Call], *, held_up: bool = False) -> list[Answer]:
        """Make calls in which the real time is what they say, each held up by updates or none."""
        image = self.skewed
        for legal, illegal in (SYSTEM_CALL[self.name], LOAD[self.name])[: 1 + held_up]:
            assert image.count(bytes.fromhex(legal)) == len(self.image.entries)
            image = image.replace(bytes.fromhex(legal), bytes.fromhex(illegal))
        return self.answers(image, calls)

    def real(self, calls: Iterable[Call]) -> list[Answer]:
        """Make calls in which the real time is this machine's."""
        return self.answers(self.skewed, calls)

    def answers(self, image: bytes, calls: Iterable[Call]) -> list[Answer]:
        lines = []
        for call in calls:
            unit = 1000 if call.function == "gettimeofday" else 1
            seconds, rest = divmod(call.real_ns, SECOND_NS)
            figures = [figure for family in call.figures for figure in family]
            place = self.image.entries[call.function]
            words = (call.function[0], place, call.clock, call.with_, seconds, rest // unit, call.fails, call.number)
            lines.append(" ".join(map(str, (*words, *figures))))
        (self.folder / "image").write_bytes(image)
        argv = [*self.runner, self.folder / "caller", self.folder / "image", str(self.image.count)]
        argv.append(str(self.image.banks))
        ran = subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, (ran.returncode, ran.stderr)
        return [Answer(*map(int, line.split())) for line in ran.stdout.splitlines()]


def vdso(name: Name, architecture: Architecture, folder: Path) -> bytes:
    """Return an ELF image with the vDSO's functions, of which none can be run, and zeros behind it."""
    functions = [architecture.prefix + stub for stub in [*architecture.stubs, "clock_getres"]]
    lines = [f".globl {each}\n.type {each}, %function\n{each}: .skip 32, 0xff" for each in functions]
    (folder / "vdso.s").write_text(".text\n" + "\n".join(lines) + "\n")
    run(tool(name, "as"), folder / "vdso.s", "-o", folder / "vdso.o")
    run(tool(name, "ld"), "-shared", "-z", "max-page-size=4096", folder / "vdso.o", "-o", folder / "vdso.so")
    image = (folder / "vdso.so").read_bytes()
    return image.ljust(len(image) + 4096 + 4095 & ~4095, b"\0")


@pytest.fixture(params=sorted(ARCHITECTURES))
def name(request: pytest.FixtureRequest) -> str:
    """A machine's name."""
    return str(request.param)


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def caller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """Of each machine."""
    return Caller(request.param, tmp_path_factory.mktemp(request.param))


def test_the_code_is_what_its_source_says(name: Name, tmp_path: Path) -> None:
    """payload_*.s, assembled, is the bytes that are written into servers, and its labels are where we say they are."""
    architecture, object_file, binary = ARCHITECTURES[name], tmp_path / "payload.o", tmp_path / "payload.bin"
    run(tool(name, "as"), Path(architectures.__file__).with_name(f"payload_{name}.s"), "-o", object_file)
    run(tool(name, "objcopy"), "-O", "binary", "-j", ".text", object_file, binary)
    figures = COUNT_BYTES + BANK_COUNT * BANK_BYTES
    assert binary.read_bytes() == architecture.code + bytes(figures) + architecture.probe
    listing = run(tool(name, "nm"), object_file)
    labels = {label: int(value, 16) for value, _, label in map(str.split, listing.splitlines())}
    assert {stub: labels[stub] for stub in architecture.stubs} == architecture.stubs
    assert (labels["count"], labels["banks"]) == (len(architecture.code), len(architecture.code) + COUNT_BYTES)
    assert struct.calcsize("<3q8x3q8x") == BANK_BYTES
    if architecture.probe:
        assert labels["probe"] == len(architecture.code) + figures
        assert labels["which"] - labels["probe"] == architecture.which


def test_the_code_for_aarch64_uses_only_registers_that_a_caller_gives_up() -> None:
    """A function may change x0 to x17 without saving them; the stack and the link register stay as they are."""
    source = Path(architectures.__file__).with_name("payload_aarch64.s").read_text()
    code = re.sub(r"//.*", "", source)
    assert {int(number) for number in re.findall(r"\b[xw](\d+)\b", code)} <= set(range(18))
    assert not re.search(r"\b(sp|lr|fp|bl|blr)\b", code)


def expected(call: Call) -> tuple[int, int, int, int]:
    """Return what a call should return and leave, by the formula."""
    zone = 60 if call.with_ & 2 else UNTOUCHED
    if call.fails:
        return call.fails, UNTOUCHED, UNTOUCHED, UNTOUCHED
    unit = 1000 if call.function == "gettimeofday" else 1
    clock = call.clock if call.function == "clock_gettime" else 0
    real_ns = call.real_ns // unit * unit
    family = 0 if clock in REALTIME else 1 if clock in MONOTONIC else None
    fake_ns = real_ns if family is None else max(0, real_ns + call.figures[family].at(real_ns))
    seconds, rest = divmod(fake_ns, SECOND_NS)
    if call.function == "time":
        return seconds, seconds if call.with_ & 1 else UNTOUCHED, UNTOUCHED, UNTOUCHED
    return (0, seconds, rest // unit, zone) if call.with_ & 1 else (0, UNTOUCHED, UNTOUCHED, zone)


def skews(chance: Random, real_ns: int) -> Skew:
    """Return a skew: small or large, early or late, with a product of up to 90 bits."""
    offset_ns = chance.choice([0, 1, -1, chance.randint(-2 * DAY_NS, 2 * DAY_NS), -real_ns - chance.randint(0, 2)])
    rate = chance.choice(
        [0, 1, -1, 1 << 31, -(1 << 32), 100 << 32, -(99 << 32) // 100, chance.randint(-(2**33), 2**39)]
    )
    passed_ns = chance.choice([0, 1, -1, chance.randint(-DAY_NS, DAY_NS), chance.randint(-100 * DAY_NS, 100 * DAY_NS)])
    return Skew(offset_ns, rate, real_ns - passed_ns)


def test_fake_time_is_by_the_formula(caller: Caller) -> None:
    """Every function and clock tells real + offset + (real - anchor) * rate / 2**32 to the ns, or 0 were it less."""
    chance = Random(7)
    calls = []
    for number in range(3000):
        function = chance.choice(list(caller.image.entries))
        clock = chance.choice([*REALTIME, *MONOTONIC, *NEITHER]) if function == "clock_gettime" else 0
        with_ = 1 if function == "clock_gettime" else chance.choice([0, 1, 2, 3]) if function[0] == "g" else number % 2
        fails = -EINVAL if function != "time" and chance.random() < 0.1 else 0
        real_ns = chance.choice([0, 1, chance.randint(0, 200 * DAY_NS), chance.randint(0, 20_000 * DAY_NS), 2**62])
        figures = skews(chance, real_ns), skews(chance, real_ns)
        calls.append(Call(function, clock, with_, real_ns, fails, chance.choice([number, 2**32 - 1]), figures))
    answers = caller.told(calls)
    assert len(answers) == len(calls)
    for call, answer in zip(calls, answers, strict=True):
        assert answer[:4] == expected(call), call
    assert any(answer[1:3] == (0, 0) for answer in answers)  # of less than 0, and below, products of more than 64 bits
    products = [skew.rate * (call.real_ns - skew.anchor_ns) for call in calls for skew in call.figures]
    assert max(products) > 2**80
    assert min(products) < -(2**80)


def test_real_time_is_by_system_call(caller: Caller) -> None:
    """The kernel itself is asked, for the clock that was named, and what it refuses is refused."""
    hours = Skew(3600 * SECOND_NS), Skew(-SECOND_NS)
    calls = [Call("clock_gettime", clock, figures=hours) for clock in (0, 1, 2, 3, 5, 7, -1)]
    calls += [Call("gettimeofday", 0, with_, figures=hours) for with_ in (0, 1, 2, 3)]
    calls += [Call("time", 0, with_, figures=hours) for with_ in (0, 1) if "time" in caller.image.entries]
    for call, answer in zip(calls, caller.real(calls), strict=True):
        if call.clock == -1:
            assert answer[:3] == (-EINVAL, UNTOUCHED, UNTOUCHED)
            continue
        unit = {"clock_gettime": 1, "gettimeofday": 1000, "time": SECOND_NS}[call.function]
        slack_ns = 10_000_000 if call.clock == 5 else unit  # a coarse clock lags by a tick
        family = 0 if call.clock in REALTIME else 1 if call.clock in MONOTONIC else None
        skew_ns = 0 if family is None else hours[family].offset_ns
        seconds = answer.returned if call.function == "time" else answer.seconds
        assert call.function == "time" or answer.returned == 0
        if call.with_ & 1:
            assert answer.seconds == seconds
            told_ns = seconds * SECOND_NS + (0 if call.function == "time" else answer.rest * unit)
            assert answer.before_ns - slack_ns <= told_ns - skew_ns <= answer.after_ns, call
        else:
            assert answer.seconds == UNTOUCHED
        assert (answer.zone == UNTOUCHED) == (not call.with_ & 2)


def test_no_reader_mixes_two_banks(caller: Caller) -> None:
    """A reader that is held up amid a bank, for so long that it is written anew, begins again."""
    before, after = Skew(DAY_NS, 1 << 32, 5), Skew(-DAY_NS, 1 << 31, 3 * DAY_NS)
    calls = [
        Call(function, 0, 1, 20_000 * DAY_NS, 0, number, (before, after))
        for function in caller.image.entries
        for number in (0, 1, 2**32 - 1)
    ]
    for call, answer in zip(calls, caller.told(calls, held_up=True), strict=True):
        assert answer[:4] == expected(call._replace(figures=(after, after))), call


def test_a_patch_is_recognised_and_everything_else_stays(caller: Caller) -> None:
    """A patch differs from the original at its jumps and its code only; clock_getres, of no concern, is left alone."""
    image = caller.image
    assert image.holds_patch(caller.skewed)
    assert not image.holds_patch(image.original)
    assert image.known(caller.skewed)
    changed = {at for at, (old, new) in enumerate(zip(image.original, caller.skewed, strict=True)) if old != new}
    ours = {at for first, last in [*image.jumps(), (image.payload, image.probe)] for at in range(first, last)}
    assert changed <= ours
    assert all(first in changed for first, _ in image.jumps())
