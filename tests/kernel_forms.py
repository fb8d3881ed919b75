"""Both forms of a kernel: compiled, as installed, and plain, as where there is no C compiler."""

from __future__ import annotations

import importlib
from types import ModuleType

from harness.plain_kernel import plain

FORMS = ("compiled", "plain")


def load(name: str, form: str, package: str = "checkers._kernels") -> ModuleType:
    """Return a kernel's module in one of FORMS; the plain one under a name of its own.

    Where nothing is compiled, "compiled" gives the plain form too: KINGSLAYER_REQUIRE_NATIVE=1 refuses that.
    """
    if form == "compiled":
        return importlib.import_module(f"{package}.{name}")
    module = plain(f"{package}.{name}")
    assert not module.cython.compiled, f"{name} was compiled although it was loaded from its source"
    return module
