"""Pure functions from a history to a verdict: no I/O, no event loop, no knowledge of the system."""

from __future__ import annotations

from typing import Any, Final

from checkers.by_name import NEAR_LINEAR
from checkers.divergence import Divergence
from checkers.linearizability import Linearizable
from checkers.log_patterns import LogPatterns
from checkers.models import MODELS as _MODELS
from checkers.models import Model, ModelOp, model, semaphore, semaphore_named
from checkers.models_kv import KV
from checkers.single_leader import SingleLeader
from checkers.stats import Stats
from harness.errors import UsageError
from harness.protocols import Checker

MODELS: Final = {**_MODELS, KV.name: KV}
"""The models by name."""

MODEL_NAMES: Final = tuple(dict.fromkeys([*MODELS, "semaphore:N", *NEAR_LINEAR]))
"""What `checker_for` knows."""


def of_every_run() -> tuple[Checker, ...]:
    """Return the checkers of what the nodes themselves say: they judge every run, besides its workload's."""
    return (SingleLeader(), Divergence(), LogPatterns())


def linearizable(name: str, **limits: Any) -> Linearizable:
    """Return the checker of linearizability for a model by name.

    Args:
        name: one in MODELS, such as "cas-register", or "semaphore:3" for one of three permits.
        limits: time_limit_s, max_configurations; see Linearizable.

    Raises:
        UsageError: no model has that name.
    """
    found = MODELS.get(name) or semaphore_named(name)
    if found is None:
        raise UsageError(f"no model is called {name!r}", f"the models are: {', '.join(MODEL_NAMES)}")
    return Linearizable(found, **limits)


def checker_for(name: str, **limits: Any) -> Checker:
    """Return the checker for a model by name: a near-linear one where there is one, else the linearizability of it.

    Args:
        name: one in MODEL_NAMES, such as "fifo-queue" or "cas-register".
        limits: time_limit_s, max_configurations; see Linearizable.

    Raises:
        UsageError: no model has that name.
    """
    return NEAR_LINEAR[name](**limits) if name in NEAR_LINEAR else linearizable(name, **limits)


__all__ = [
    "MODELS",
    "MODEL_NAMES",
    "NEAR_LINEAR",
    "Linearizable",
    "Model",
    "ModelOp",
    "SingleLeader",
    "Stats",
    "checker_for",
    "linearizable",
    "model",
    "of_every_run",
    "semaphore",
]
