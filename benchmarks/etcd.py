"""etcd: time to install, time from standing machines to healthy, and operations a second through the facet alone.

    python -m benchmarks.etcd --backend netns --clients 50 --seconds 8

Half puts, half linearizable gets; no runner, no history. Prints one line a figure, the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import random
import resource
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

from clusters.etcd import Etcd
from harness.protocols import Backend, Node, Register

KEYS: Final = 100
BACKENDS: Final = {"netns": ("clusters.netns", "NetnsBackend"), "docker": ("clusters.docker", "DockerBackend")}


async def drive(register: Register, until: float, random_: random.Random, latencies_ms: list[float]) -> None:
    """Do operations, one after the other, until the monotonic time `until`."""
    while (start := time.monotonic()) < until:
        key = f"k{random_.randrange(KEYS)}"
        if random_.random() < 0.5:
            await register.write(key, random_.randrange(1 << 30))
        else:
            await register.read(key)
        latencies_ms.append((time.monotonic() - start) * 1000)


async def throughput(system: Etcd, nodes: Sequence[Node], clients: int, seconds: float, seed: int) -> dict[str, float]:
    """Drive all clients for some seconds; return operations a second, latency and the CPU that the clients took."""
    registers: list[Any] = [system.facets["register"](nodes[at % len(nodes)], {}) for at in range(clients)]
    await asyncio.gather(*(register.open() for register in registers))
    latencies_ms: list[float] = []
    usage, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    loads = [
        drive(register, start + seconds, random.Random(seed * clients + at), latencies_ms)  # noqa: S311 - a load
        for at, register in enumerate(registers)
    ]
    await asyncio.gather(*loads)
    took, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(register.close() for register in registers))
    latencies_ms.sort()
    cpu_s = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    return {
        "ops/s": len(latencies_ms) / took,
        "p50 ms": latencies_ms[len(latencies_ms) // 2],
        "p99 ms": latencies_ms[len(latencies_ms) * 99 // 100],
        "client CPU us per op": cpu_s * 1e6 / len(latencies_ms),
    }


async def measure(system: Etcd, backend: Backend, options: argparse.Namespace) -> None:
    """Boot and drive, round after round on the same machines."""
    nodes = await backend.up([f"n{at}" for at in range(1, options.nodes + 1)], await system.install())
    boots, rounds = [], []
    try:
        for seed in range(options.rounds):
            await asyncio.gather(*(node.wipe() for node in nodes))
            start = time.monotonic()
            await system.boot(nodes)
            boots.append(time.monotonic() - start)
            rounds.append(await throughput(system, nodes, options.clients, options.seconds, seed))
    finally:
        await backend.down()
    print(f"boot of {options.nodes} s: {statistics.median(boots):.2f}  ({', '.join(f'{boot:.2f}' for boot in boots)})")
    for name in rounds[0]:
        values = [figures[name] for figures in rounds]
        print(f"{name}: {statistics.median(values):.1f}  ({', '.join(f'{value:.1f}' for value in values)})")


def main() -> None:
    """Read the command line, install, enter the backend, measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.etcd", description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=sorted(BACKENDS), default="netns")
    parser.add_argument("--version", default="", help="of etcd")
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load, per round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    system = Etcd(options.version)
    start = time.monotonic()
    asyncio.run(system.install())
    print(f"etcd {system.version}, {options.backend}, {options.clients} clients")
    print(f"install s: {time.monotonic() - start:.2f}")
    module, name = BACKENDS[options.backend]
    backend: Backend = getattr(importlib.import_module(module), name)(f"{random.getrandbits(32):08x}")
    backend.enter()
    asyncio.run(measure(system, backend, options))


if __name__ == "__main__":
    main()
