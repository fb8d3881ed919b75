"""Bugs of the elections: each must be found by the workload election."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Final

from clusters.memory.elections import Elections, Reign
from clusters.memory.replicas import Replica, Replicas
from harness.facets import Leadership

MISHAP: Final = 0.2
"""How often something goes wrong, where it does so now and then."""

LAG: Final = 3
"""How many leaders the followers' copies lag behind under the bug stale-leader."""


class SameTerm(Elections):
    """Now and then a new leader gets the term of the one before."""

    def crown(self, replica: Replica, election: str, leadership: Leadership, ttl_s: float) -> Leadership:
        if leadership.term > 1 and self.replicas.random.random() < MISHAP:
            leadership = Leadership(leadership.id, leadership.term - 1)
        return super().crown(replica, election, leadership, ttl_s)


class TermsRestart(Elections):
    """Now and then the terms begin anew."""

    def crown(self, replica: Replica, election: str, leadership: Leadership, ttl_s: float) -> Leadership:
        if self.replicas.random.random() < MISHAP:
            leadership = Leadership(leadership.id, 1)
        return super().crown(replica, election, leadership, ttl_s)


class Usurper(Elections):
    """Where nobody leads, a look at the leader may tell of somebody who never campaigned."""

    def look(self, replica: Replica, election: str) -> Leadership | None:
        found = super().look(replica, election)
        if found is None and self.replicas.random.random() < MISHAP:
            return Leadership("usurper", self.last(replica, election).term + 1)
        return found


class StaleLeader(Elections):
    """Followers answer who leads from a copy that lags by a few leaders."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self._past: dict[str, deque[Reign]] = defaultdict(lambda: deque(maxlen=LAG))

    def keep(self, replica: Replica, election: str, reign: Reign) -> None:
        if reign.term != self.last(replica, election).term:
            self._past[election].append(self.last(replica, election))
        super().keep(replica, election, reign)

    def look(self, replica: Replica, election: str) -> Leadership | None:
        if replica.role != "leader" and self._past[election]:
            return self._past[election][0].leadership
        return super().look(replica, election)


class WatchGoesBack(Elections):
    """Now and then a watch is told of an older leader after a newer one."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self._known: dict[str, dict[int, Leadership]] = defaultdict(dict)

    def told(self, replica: Replica, election: str, before: Leadership | None) -> Leadership | None:
        now = super().told(replica, election, before)
        if now is not None:
            self._known[election][now.term] = now
            older = self._known[election].get(now.term - 1)
            if older is not None and now == before and self.replicas.random.random() < MISHAP:
                return older
        return now


class ResignIgnored(Elections):
    """A resignation is acknowledged, but the leader leads on until its time is over."""

    def resign(self, replica: Replica, election: str, leadership: Leadership) -> bool:
        return self.leader(replica, election) == leadership


class ShortLived(Elections):
    """A leadership ends after half of its time."""

    def crown(self, replica: Replica, election: str, leadership: Leadership, ttl_s: float) -> Leadership:
        return super().crown(replica, election, leadership, ttl_s / 2)


class TwoAtOnce(Elections):
    """Now and then a candidate is elected although another one leads."""

    def elect(self, replica: Replica, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        if self.replicas.random.random() < MISHAP:
            return self.crown(replica, election, Leadership(candidate, self.last(replica, election).term + 1), ttl_s)
        return super().elect(replica, election, candidate, ttl_s)


class RenewIgnored(Elections):
    """A renewal is acknowledged, but does not let the leadership live any longer."""

    def renew(self, replica: Replica, election: str, leadership: Leadership) -> bool:
        return self.leader(replica, election) == leadership


class NeverEnds(Elections):
    """A leader that is gone without a word leads for ever."""

    def leader(self, replica: Replica, election: str) -> Leadership | None:
        last = self.last(replica, election)
        return last.leadership if last.until_s else None


ELECTION_BUGS: Final = {
    "same-term": SameTerm,
    "terms-restart": TermsRestart,
    "usurper": Usurper,
    "stale-leader": StaleLeader,
    "watch-goes-back": WatchGoesBack,
    "resign-ignored": ResignIgnored,
    "short-lived-leaders": ShortLived,
    "two-leaders": TwoAtOnce,
    "renew-ignored": RenewIgnored,
    "leader-never-ends": NeverEnds,
}
