"""Bugs of the locks: each must be found by the harness."""

from __future__ import annotations

from typing import Final

from clusters.memory.locks import Held, Locks
from clusters.memory.replicas import Replica, Replicas
from harness.errors import Definite
from harness.facets import Grant

MISHAP: Final = 0.05
"""How often a held lock is granted once more under the bug lock-double-grant."""


class DoubleGrant(Locks):
    """Now and then a lock is granted although another one holds it."""

    def take(self, replica: Replica, key: str, ttl_s: float) -> Grant:
        try:
            return super().take(replica, key, ttl_s)
        except Definite:
            if self.replicas.random.random() >= MISHAP:
                raise
            return self.grant(replica, key, self.last(replica, key).token + 1, ttl_s)


class ForgottenExtends(Locks):
    """Whoever wants to take a lock over sees the TTL of its grant, not that of its extensions."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self._first_s: dict[tuple[str, int], float] = {}

    def grant(self, replica: Replica, key: str, token: int, ttl_s: float) -> Grant:
        self._first_s[key, token] = self.now_s() + ttl_s
        return super().grant(replica, key, token, ttl_s)

    def take(self, replica: Replica, key: str, ttl_s: float) -> Grant:
        last = self.last(replica, key)
        if self.now_s() >= self._first_s.get((key, last.token), 0):
            return self.grant(replica, key, last.token + 1, ttl_s)
        return super().take(replica, key, ttl_s)


class TokensGoBack(Locks):
    """A lock that was released counts its tokens from the beginning."""

    def release(self, replica: Replica, grant: Grant) -> bool:
        released = super().release(replica, grant)
        if released:
            self.keep(replica, grant.key, Held())
        return released


class TokenReused(Locks):
    """Who takes over a lock whose time is over gets the token of the one before."""

    def take(self, replica: Replica, key: str, ttl_s: float) -> Grant:
        last = self.last(replica, key)
        if 0 < last.until_s <= self.now_s():
            return self.grant(replica, key, last.token, ttl_s)
        return super().take(replica, key, ttl_s)


class Revived(Locks):
    """Extending a lock that was lost takes it back, whoever holds it."""

    def extend(self, replica: Replica, grant: Grant, ttl_s: float) -> bool:
        assert grant.token is not None
        self.grant(replica, grant.key, grant.token, ttl_s)
        return True


class ForeignRelease(Locks):
    """A release frees the lock, whoever holds it."""

    def release(self, replica: Replica, grant: Grant) -> bool:
        self.keep(replica, grant.key, Held(self.last(replica, grant.key).token))
        return True


class EarlyExpiry(Locks):
    """A lock ends after half of its TTL."""

    def keep(self, replica: Replica, key: str, held: Held) -> None:
        left_s = max(0.0, held.until_s - self.now_s())
        super().keep(replica, key, held._replace(until_s=held.until_s - left_s / 2))


class NeverExpires(Locks):
    """A lock stays until it is released."""

    def keep(self, replica: Replica, key: str, held: Held) -> None:
        super().keep(replica, key, held._replace(until_s=float("inf")) if held.until_s else held)


class LostWithLeader(Locks):
    """A new leader does not know the locks of the one before."""

    def last(self, replica: Replica, key: str) -> Held:
        last = super().last(replica, key)
        granted: int = self.replicas.read(replica, ("lock term", key)) or 0
        return last if granted == replica.term else last._replace(until_s=0.0)

    def keep(self, replica: Replica, key: str, held: Held) -> None:
        super().keep(replica, key, held)
        self.replicas.write(replica, ("lock term", key), replica.term)


class BlindIsHeld(Locks):
    """A node that is not the leader says that a grant stands until it hears of a release."""

    def is_held(self, replica: Replica, grant: Grant) -> bool:
        if replica.role == "leader":
            return super().is_held(replica, grant)
        last = self.last(replica, grant.key)
        return last.until_s > 0 or last.token != grant.token


LOCK_BUGS = {
    "lock-double-grant": DoubleGrant,
    "lock-forgotten-extends": ForgottenExtends,
    "lock-tokens-go-back": TokensGoBack,
    "lock-token-reused": TokenReused,
    "lock-revived": Revived,
    "lock-foreign-release": ForeignRelease,
    "lock-early-expiry": EarlyExpiry,
    "lock-never-expires": NeverExpires,
    "lock-lost-with-leader": LostWithLeader,
    "lock-blind-is-held": BlindIsHeld,
}
