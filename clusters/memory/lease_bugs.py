"""Bugs of the leases in memory: each must be found by the harness."""

from __future__ import annotations

from typing import Any, Final

from clusters.memory.leases import Leases, Standing
from clusters.memory.replicas import Replica, Replicas
from harness.facets import Lease


class EndsEarly(Leases):
    """A renewal lets a lease live for half of its time only."""

    def keep_alive(self, replica: Replica, lease: int) -> bool:
        kept = super().keep_alive(replica, lease)
        if kept:
            ttl_s = self.find(replica, lease).ttl_s
            self.keep(replica, lease, Standing(ttl_s, self.now_s() + ttl_s / 2))
        return kept


class NeverEnds(Leases):
    """A lease ends only when it is revoked."""

    def stands(self, replica: Replica, lease: int) -> bool:
        return self.find(replica, lease).until_s > 0


class FollowersForget(Leases):
    """A renewal by way of a follower is acknowledged, and does nothing."""

    def keep_alive(self, replica: Replica, lease: int) -> bool:
        return super().keep_alive(replica, lease) if replica.role == "leader" else self.stands(replica, lease)


class LeaderForgets(Leases):
    """A new leader knows the grants of the leases, and not their renewals."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self._granted: dict[int, Standing] = {}
        self._renewed_in: dict[int, int] = {}

    def grant(self, replica: Replica, ttl_s: float) -> Lease:
        lease = super().grant(replica, ttl_s)
        self._granted[lease.id] = self.find(replica, lease.id)
        return lease

    def keep_alive(self, replica: Replica, lease: int) -> bool:
        kept = super().keep_alive(replica, lease)
        if kept:
            self._renewed_in[lease] = replica.term
        return kept

    def stands(self, replica: Replica, lease: int) -> bool:
        stands = super().stands(replica, lease)
        if self._renewed_in.get(lease, replica.term) == replica.term:
            return stands
        return stands and self.now_s() < self._granted[lease].until_s


class RevokeKeepsKeys(Leases):
    """A revoked lease is gone, but its keys stay until its time is over."""

    def __init__(self, replicas: Replicas) -> None:
        super().__init__(replicas)
        self._revoked: dict[int, float] = {}

    def revoke(self, replica: Replica, lease: int) -> bool:
        until_s = self.find(replica, lease).until_s
        revoked = super().revoke(replica, lease)
        if revoked:
            self._revoked[lease] = until_s
        return revoked

    def read(self, replica: Replica, key: str) -> Any:
        value, lease = self.replicas.read(replica, ("lease", "key", key)) or (None, 0)
        return value if self.now_s() < self._revoked.get(lease, 0) else super().read(replica, key)


class Revives(Leases):
    """A renewal that comes too late brings a lease and its keys back."""

    def keep_alive(self, replica: Replica, lease: int) -> bool:
        ttl_s = self.find(replica, lease).ttl_s
        if ttl_s:
            self.keep(replica, lease, Standing(ttl_s, self.now_s() + ttl_s))
        return bool(ttl_s)


LEASE_BUGS: Final = {
    "lease-ends-early": EndsEarly,
    "lease-never-ends": NeverEnds,
    "lease-followers-forget": FollowersForget,
    "lease-leader-forgets": LeaderForgets,
    "lease-revoke-keeps-keys": RevokeKeepsKeys,
    "lease-revives": Revives,
}
