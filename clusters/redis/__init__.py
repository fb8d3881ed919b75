"""Redis with Sentinel as a system under test: the control, which promises no linearizability and loses writes."""

from clusters.redis.system import Redis

__all__ = ["Redis"]
