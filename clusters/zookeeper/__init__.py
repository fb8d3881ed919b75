"""ZooKeeper as a system under test: its jars and a Java of its own, its ensemble, and clients that never resend."""

from clusters.zookeeper.system import ZooKeeper

__all__ = ["ZooKeeper"]
