"""A replicated register in one process, with switchable bugs: it tests the harness itself, without any cluster."""

from clusters.memory.bugs import BUGS
from clusters.memory.node import MemoryBackend, MemoryNode
from clusters.memory.system import Memory

__all__ = ["BUGS", "Memory", "MemoryBackend", "MemoryNode"]
