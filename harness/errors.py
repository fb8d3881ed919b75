"""Who is at fault, and what to do next: the one error tree.

HarnessError and its children end a command; each has its exit code and a hint. OpError and its children end one
operation of a client: the worker alone turns them into `fail` and `info` events. AnomalyFound and Inconclusive are what
a pytest test raises.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class HarnessError(Exception):
    """Something that is not an operation went wrong.

    Args:
        message: what happened, and where.
        hint: what to do next; shown below the message.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(HarnessError):
    """A flag, a name or a configuration is wrong: correct the command line."""

    exit_code = 2


class HistoryError(HarnessError):
    """A history is corrupt or empty: the message names the file, the line and the reason."""

    exit_code = 2


class ClusterError(HarnessError):
    """The surroundings failed (no engine, no rights, a node that never gets healthy): follow the hint, run again."""

    exit_code = 4


class FaultError(ClusterError):
    """A fault did not take effect, or its heal did not: the run proves nothing and counts as an error."""


class ContractError(HarnessError):
    """A plugged-in client, system, workload or checker broke its protocol: mend that code, which the message names."""

    exit_code = 4


class InternalError(HarnessError):
    """A bug of kingslayer itself: please report it with the run's folder from the store."""

    exit_code = 5


class OpError(Exception):
    """An operation did not succeed; raise one of the two children from a client.

    Args:
        error: a short reason, recorded in the history.
        observed: the value that the operation saw, where it saw one (a failed cas does).
    """

    def __init__(self, error: str, observed: object = msgspec.UNSET) -> None:
        super().__init__(error)
        self.error = error
        self.observed = observed


class Definite(OpError):
    """The operation certainly did not happen and never will: recorded as `fail`."""


class Indefinite(OpError):
    """The operation may have happened, or may happen still: recorded as `info`."""


class AnomalyFound(AssertionError):
    """The system broke its promise: read the witness, then replay with the line that is shown."""


class Inconclusive(AssertionError):
    """The verdict is unknown or the run was an error: it proves nothing either way, so it does not pass."""
