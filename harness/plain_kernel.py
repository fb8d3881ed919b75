"""A kernel's source, run by Python itself: where there is no C compiler, and for tests of that form."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def plain(name: str) -> ModuleType:
    """Return a kernel's module, such as "harness._kernels.ids", uncompiled, under a name of its own."""
    alias = f"plain_{name.replace('.', '_')}"
    if alias not in sys.modules:
        package, _, stem = name.rpartition(".")
        (folder,) = importlib.import_module(package).__path__
        spec = importlib.util.spec_from_file_location(alias, f"{folder}/{stem}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[alias] = module
        spec.loader.exec_module(module)
    return sys.modules[alias]
