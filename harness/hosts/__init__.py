"""Client processes: facets that live in processes of their own, so that clients can be frozen as real ones are."""

from harness.hosts.parent import Host, Hosts

__all__ = ["Host", "Hosts"]
