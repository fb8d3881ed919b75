"""NATS JetStream as a system under test: its binary, its cluster and bucket, and clients that never resend."""

from clusters.nats.system import Nats

__all__ = ["Nats"]
