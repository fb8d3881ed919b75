"""Run every benchmark in turn: python -m benchmarks."""

from __future__ import annotations

import importlib
import pkgutil

import benchmarks


def main() -> None:
    """Call main() of each module here; each prints its own table."""
    for found in pkgutil.iter_modules(benchmarks.__path__):
        if found.name != "__main__":
            print(f"\npython -m benchmarks.{found.name}", flush=True)
            importlib.import_module(f"benchmarks.{found.name}").main()


if __name__ == "__main__":
    main()
