"""One event of a history, and what a client is asked to do."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

EventType = Literal["invoke", "ok", "fail", "info"]

NEMESIS = "nemesis"
"""The process that injects and heals faults. Client processes are integers, all others are strings."""

INJECT = "inject"
HEAL = "heal"
AWAIT = "await"
"""`f` of the nemesis's events; their key is the fault's number. `await` is the wait for an aimed fault's moment."""

STATUS = "status"
"""`f` of the events in which a node tells its role, term and leader; their process is `status:<node>`."""

RUN = "run"
"""The process that tells how the run itself went."""

FINAL = "final"
"""`f` of the run's last phase: its invocation, when all is healed, names the nodes that do not serve; ok ends it."""

DIGEST = "digest"
"""`f` of the events in which a node sums up its data, when the clients are done; their process is `digest:<node>`."""

CONDITION = "condition"
"""`f` of the events that tell whether a node is as before, after the last heal; their process is `condition:<node>`."""

LOG = "log"
"""`f` of a line of a node's log that should not be there; its process is `log:<node>`."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """What a generator asks of a client: an operation that has not been invoked yet."""

    f: str
    key: Any = None
    value: Any = None


class Op(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event: an invocation or a completion. One line of history.jsonl.

    Attributes:
        index: the event's place in the history, from 0; witnesses name events by it.
        time: nanoseconds of CLOCK_MONOTONIC since the run's start. An invocation is stamped before the request is
            sent, a completion after the reply was parsed, so that delays can only hide anomalies.
        process: a logical client (int), retired after an `info`; or the name of something that is not a client.
        type: `fail` certainly did not happen; whatever might have happened is `info`.
        f: the operation's name, such as read, write, cas.
        node: the node that the client is pinned to.
        key, value: any JSON. An ok read's value is what was read; a cas has [old, new].
        observed: what a failed cas saw; UNSET where it saw nothing.
        error: why, for `fail` and `info`.
    """

    index: int
    time: int
    process: int | str
    type: EventType
    f: str
    node: str | None = None
    key: Any = None
    value: Any = None
    observed: Any = msgspec.UNSET
    error: str | None = None


def freeze(value: Any) -> Any:
    """Return `value` (any JSON) as a hashable whose equality is JSON's.

    Python holds True == 1; JSON does not, and neither may a checker.
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list | tuple):
        return ("list", *map(freeze, value))
    if isinstance(value, dict):
        return ("dict", frozenset((name, freeze(item)) for name, item in value.items()))
    return value
