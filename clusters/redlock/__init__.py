"""Redlock as a system under test: independent Redis servers, and locks that a majority of them grants."""

from clusters.redlock.system import Redlock

__all__ = ["Redlock"]
