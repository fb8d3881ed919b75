"""Consul as a system under test: its binary, its servers, and clients that speak plain HTTP and never resend."""

from clusters.consul.system import Consul

__all__ = ["Consul"]
