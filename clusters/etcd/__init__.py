"""etcd as a system under test: its binaries, its cluster, and a gRPC client that never resends."""

from clusters.etcd.system import Etcd

__all__ = ["Etcd"]
