"""The clock that the node's server sees: skewed by a programme of steps, measured in the server, and put right."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clusters.agent import ptrace
from clusters.agent.processes import Refused
from clusters.agent.vdso import FAMILIES, Image, Skew, Target

LOOK_S = 0.05  # how often we see whether a process of the server is new and still has the right time
STEP_S_MIN = 0.001


class Clock:
    """Skews the clocks of whatever processes the server consists of.

    A programme is a list of [seconds, offset in ns, rate]: each step holds for its seconds, the offset grows by `rate`
    seconds a second within it, and after the last step the first comes again. A single step may last for ever.

    Args:
        family: returns the server's processes now.
    """

    def __init__(self, family: Callable[[], Iterable[int]]) -> None:
        self.family = family
        self.image: Image | None = None  # made at the first skew: most nodes never need it
        self.programme: list[tuple[float, int, float]] = []
        self.clocks: tuple[str, ...] = ()
        self.skews: dict[str, Skew] = {}
        self.step, self.next_step_s, self.next_look_s = 0, 0.0, 0.0
        self.trouble = ""

    def skew(self, programme: Sequence[Sequence[float]], clocks: Sequence[str]) -> None:
        """Begin a programme, in place of any other."""
        if not programme or not clocks or not set(clocks) <= set(FAMILIES):
            raise Refused(f"a skew needs steps, and clocks out of {', '.join(FAMILIES)}")
        if any(seconds < STEP_S_MIN or not -0.99 <= rate <= 100 for seconds, _, rate in programme):
            raise Refused(f"a step of a skew lasts {STEP_S_MIN:g} s at least, with a rate of -0.99 to 100")
        self.image = self.image or Image.own()
        self.programme = [(seconds, int(offset), rate) for seconds, offset, rate in programme]
        self.clocks, self.trouble = tuple(clocks), ""
        self._take(0, time.monotonic())
        self.apply()

    def heal(self) -> str:
        """Put every process right, and return what went wrong since the skew began; empty where nothing did."""
        self.programme = []
        image = self.image
        if image is not None:
            targets = those(self._targets(image), lambda target: not target.intact())
            if targets:
                for_each(those(targets, Target.patched), lambda target: target.update(Skew(), Skew()))
                ptrace.apart(lambda: for_each(targets, Target.restore))
        trouble, self.trouble = self.trouble, ""
        return trouble

    def apply(self) -> None:
        """Give every process of the server the skew that holds now."""
        assert self.image is not None
        targets = self._targets(self.image)
        if fresh := those(targets, lambda target: not target.patched()):
            ptrace.apart(lambda: for_each(fresh, Target.patch))
        realtime, monotonic = (self.skews.get(name, Skew()) for name in FAMILIES)
        for_each(targets, lambda target: target.update(realtime, monotonic))
        self.next_look_s = time.monotonic() + LOOK_S

    def tick(self) -> float | None:
        """Do what the programme and new processes ask for; return the seconds until the next time, None for never."""
        if not self.programme:
            return None
        now = time.monotonic()
        if now >= min(self.next_step_s, self.next_look_s):
            if now >= self.next_step_s:
                self._take((self.step + 1) % len(self.programme), self.next_step_s)
            self.follow()
        return max(0.001, min(self.next_step_s, self.next_look_s) - time.monotonic())

    def follow(self) -> None:
        """Apply the skew, if any, and keep what goes wrong for the heal: nobody asked."""
        if self.programme:
            try:
                self.apply()
            except (Refused, OSError) as error:
                self.trouble = self.trouble or str(error)
                self.next_look_s = time.monotonic() + LOOK_S

    def read(self) -> list[dict[str, Any]]:
        """Return of each process whether its vDSO is intact, and of each clock what a thread of it reads.

        A reading is [offset, half its uncertainty, the offset that it should have], in ns.
        """
        image = self.image = self.image or Image.own()
        targets = self._targets(image)

        def look(target: Target) -> dict[str, Any]:
            readings = {}
            for name, (told, before, after) in target.clocks().items():
                skew, now = self.skews.get(name, Skew()), (before + after) // 2
                drift = max(abs(skew.at(when) - skew.at(now)) for when in (before, after))
                readings[name] = [told - now, after - now + drift, skew.at(now)]
            return {"pid": target.pid, "intact": target.intact(), "clocks": readings}

        looks: list[dict[str, Any]] = ptrace.apart(lambda: for_each(targets, look)) if targets else []
        return looks

    def skewed(self) -> int:
        """Return how many of the server's processes do not have the kernel's own clock functions."""
        if self.image is None:
            return 0
        return len(those(self._targets(self.image), lambda target: not target.intact()))

    def _targets(self, image: Image) -> list[Target]:
        if not self.programme:
            self.skews = {}
        targets = []
        for pid in self.family():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                targets.append(Target(image, pid))
        return targets

    def _take(self, step: int, now_s: float) -> None:
        seconds, offset_ns, rate = self.programme[step]
        self.step, self.next_step_s = step, now_s + seconds
        fraction = round(rate * 2**32)
        self.skews = {name: Skew(offset_ns, fraction, time.clock_gettime_ns(FAMILIES[name])) for name in self.clocks}


def for_each(targets: Iterable[Target], action: Callable[[Target], Any]) -> list[Any]:
    """Return what the action returns for each process that has not ended meanwhile."""
    results = []
    for target in targets:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            results.append(action(target))
    return results


def those(targets: Iterable[Target], which: Callable[[Target], bool]) -> list[Target]:
    """Return the processes that have not ended and of which `which` holds."""
    return [target for target, chosen in for_each(targets, lambda target: (target, which(target))) if chosen]
