"""The checker of tasks: each claimed by one worker at a time, completed once, and never lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from checkers.task_acts import Acts
from checkers.task_choice import choices
from checkers.task_findings import Finding
from checkers.task_rules import RULES
from harness.history import History
from harness.verdict import Anomaly, Verdict

ENGINE: Final = "claims as intervals"
MAX_REPORTED: Final = 10


class Claims:
    """What tasks promise (harness.facets.Tasks), decided from intervals.

    Detects, for each task: "double claim" (by two at one epoch, or by a second while the first claim surely stood),
    "epoch went back", "stale completion accepted" and "stale claim accepted" (a completion; a failure, an offer or a
    steal, of a claim although a newer one was there), "completed twice", "claim ended twice", "claimed after its
    completion", "lost task", "completion lost", "wrong result", "stale status", "submitted twice", "phantom task" (that
    nobody submitted), "too many retries", "constraint broken" (capabilities, excluded workers), "claimed after its
    deadline". Between tasks: "priority inversion", and "task withheld" (there was nothing to claim, said the service,
    although there was).

    Cannot detect: a claim that lives on after its timeout; tasks that never get done (that is liveness); preferred
    workers and affinity, which are wishes; a wrong choice where claims of unknown outcome may have made it right; and
    a service whose seconds differ from the harness's by more than CLOCKS_AGREE.

    Cost: O(n log n), sorting; and for each claim of no task in particular the open tasks of a greater priority whose
    capabilities its worker has: there are few, where the service is right.

    Why it is sound. The service knows of no task at first. A claim that was granted stands at least from its return
    until its timeout, counted from its *invocation*, or until an operation that ends it was *invoked*, by whomever;
    closing a client ends nothing. Another claim of the task whose epoch is greater came later, so that one that
    returned before that end was granted while the first one stood; and one whose epoch is not greater although it was
    asked for after the other's return breaks the order of epochs. A completed task is never claimed again: a
    completion and a claim at a greater epoch cannot both be, whichever came first. Deadlines count from the submit's
    return. Only operations that were ok accuse, and a claim that failed where it says that it saw nothing to claim. A
    task counts as available only if its submit returned before the claim was invoked, and no operation that names it,
    of whatever outcome, was invoked before the claim returned; and as each claim of unknown outcome may have taken one
    such task at any time, there must be more of them than such claims. Tasks with affinity or with other preferred
    workers are left out: for their sake a service may choose otherwise. Rules that need to know what was asked for
    keep silent where a task may have been submitted more than once.
    """

    name = "claims"

    def check(self, history: History) -> Verdict:
        """Decide every task; report the first anomaly of each.

        Raises:
            HistoryError: an operation or a value that is none of a task's, or the history's events do not pair.
        """
        acts = Acts(history)
        first: dict[str, Finding] = {}
        for finding in findings(acts):
            known = first.get(finding.task)
            if known is None or finding.at < known.at:
                first[finding.task] = finding
        found = sorted(first.values(), key=lambda finding: finding.at)
        more = len(found) - MAX_REPORTED
        return Verdict(
            status="invalid" if found else "valid",
            anomalies=tuple(self._anomaly(acts, finding) for finding in found[:MAX_REPORTED]),
            engine=ENGINE,
            reasons=(f"{more} more {'task has' if more == 1 else 'tasks have'} anomalies",) if more > 0 else (),
        )

    def _anomaly(self, acts: Acts, finding: Finding) -> Anomaly:
        return Anomaly(
            checker=self.name,
            kind=finding.kind,
            summary=finding.summary,
            witness=acts.witness(finding.proof),
            key=finding.task,
        )


def findings(acts: Acts) -> Iterator[Finding]:
    """Yield every anomaly, in no particular order."""
    for log in acts.logs.values():
        for rule in RULES:
            yield from rule(log)
    yield from choices(acts)
