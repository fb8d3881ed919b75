"""The models: what correct objects do. docs/reference-models.md lists their operations."""

from __future__ import annotations

from typing import Final

from checkers.models.locks import REENTRANT_MUTEX, semaphore, semaphore_named
from checkers.models.model import NEVER_COMPLETES, Interpret, Interval, Model, ModelOp, State
from checkers.models.multi_register import MULTI_REGISTER
from checkers.models.plain import model
from checkers.models.priority_queue import PRIORITY_QUEUE
from checkers.models.register import (
    CAS_REGISTER,
    COMPARING_CAS_REGISTER,
    FAILED_CAS,
    INITIAL_VALUE,
    REGISTER,
    interpret_comparing_register,
    interpret_register,
    observed,
    step_register,
    useful_until_register,
    written,
)
from checkers.models.task import TASK

MODELS: Final = {
    each.name: each
    for each in (
        REGISTER,
        CAS_REGISTER,
        MULTI_REGISTER,
        REENTRANT_MUTEX,
        PRIORITY_QUEUE,
        TASK,
    )
}
"""Models by name; `semaphore_named` gives those of semaphores."""

__all__ = [
    "CAS_REGISTER", "COMPARING_CAS_REGISTER", "FAILED_CAS", "INITIAL_VALUE", "MODELS", "MULTI_REGISTER",
    "NEVER_COMPLETES", "PRIORITY_QUEUE", "REENTRANT_MUTEX", "REGISTER", "TASK", "Interpret", "Interval", "Model",
    "ModelOp", "State", "interpret_comparing_register", "interpret_register", "model", "observed", "semaphore",
    "semaphore_named",    "step_register", "useful_until_register", "written",
]  # fmt: skip
