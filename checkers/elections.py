"""The checker of elections by what their clients were told: terms, candidates, resignations, one leader at a time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from checkers.leaderships import Tenure, tenures
from checkers.terms import MAX_REPORTED, anomaly, saw, two_in_one_term
from checkers.words import seconds
from harness.history import History
from harness.leaders import CAMPAIGN, LEADER, WATCH, Sighting, malformed, of_clients, operations
from harness.op import Op, freeze
from harness.verdict import Anomaly, Verdict


class Elections:
    """One leader a term and one at a time, elected from those who campaigned, in terms that only grow.

    Operations, with the election as key: campaign of {"id", "ttl_s"} returns these and "term"; renew and resign return
    {"held"}; leader returns {"id", "term"} or nothing; watch returns a list of events with "id" and "term". An id is
    of one campaign.

    Detects: "two leaders in one term"; "term went back" (a campaign or a look at the leader that tells of an older term
    than somebody knew before, or a watch whose terms go down); "never a candidate" (a leader whose campaign had not
    been called, or certainly failed); "led after it resigned"; "two leaders at once"; "lost early" (somebody was
    told of another leader, or of none, while one certainly led).

    Tells apart, as a reason of a valid verdict: leaders that wrote after a newer one had, which no time to live can
    prevent ("unsafe"), and whether the fence refused all of that ("unsafe but fenced").

    Cannot detect: a watch that leaves out a leader, or tells of it late; two leaders whose campaigns were cut off.

    Cost: O(n log n) in the operations.

    Why it is sound: a look at the leader, and a campaign that is won, take effect at one moment between call and reply,
    so each knows of every term that somebody had been told of before its call; a watch may be late, and is only held
    against itself. A leadership certainly stands as checkers/leaderships.py says, whatever its client does meanwhile:
    the service has promised each of these times itself, by its reply to a campaign or to a renewal.
    """

    name = "elections"

    def check(self, history: History) -> Verdict:
        """Decide every election.

        Raises:
            HistoryError: an operation's value is not what the workload election records.
        """
        by_election: dict[Any, list[Sighting]] = defaultdict(list)
        for sighting in of_clients(history):
            by_election[freeze(sighting.election)].append(sighting)
        held, called, looks = tenures(history), _called(history), _looks(history)
        anomalies: list[Anomaly] = []
        for key, sightings in by_election.items():
            stands = held.get(key, [])
            anomalies += two_in_one_term(self.name, sightings)
            anomalies += _went_back(self.name, sightings)
            anomalies += _never_campaigned(self.name, sightings, called.get(key, {}))
            anomalies += _after_resigning(self.name, sightings, stands)
            anomalies += _at_once(self.name, stands)
            anomalies += _too_early(self.name, looks.get(key, []), stands)
        return Verdict(
            status="invalid" if anomalies else "valid",
            anomalies=tuple(anomalies),
            engine=self.name,
            reasons=_unsafe(history),
        )


def _called(history: History) -> dict[Any, dict[str, Op]]:
    """Return the first call of a campaign that did not certainly fail, by election and id."""
    found: dict[Any, dict[str, Op]] = defaultdict(dict)
    for asked, done in operations(history, (CAMPAIGN,)):
        if done is None or done.type != "fail":
            if not isinstance(asked.value, dict) or not isinstance(asked.value.get("id"), str):
                raise malformed(history, asked, 'a campaign is called with {"id": text, "ttl_s": seconds}')
            found[freeze(asked.key)].setdefault(asked.value["id"], asked)
    return found


def _looks(history: History) -> dict[Any, list[tuple[Op, Op]]]:
    """Return call and reply of the looks at the leader, by election."""
    found: dict[Any, list[tuple[Op, Op]]] = defaultdict(list)
    for asked, done in operations(history, (LEADER,)):
        if done is not None and done.type == "ok":
            found[freeze(asked.key)].append((asked, done))
    return found


def _went_back(checker: str, sightings: Sequence[Sighting]) -> list[Anomaly]:
    known = sorted(sightings, key=lambda each: each.end_ns)
    greatest: list[Sighting] = []  # of those that ended first, the one with the greatest term
    for sighting in known:
        greatest.append(sighting if not greatest or sighting.term > greatest[-1].term else greatest[-1])
    ends = [sighting.end_ns for sighting in known]
    found = []
    in_watch: Sighting | None = None
    for sighting in sightings:
        if sighting.how == WATCH:
            before = in_watch if in_watch is not None and in_watch.events == sighting.events else None
            in_watch = sighting
        else:
            at = bisect_left(ends, sighting.begin_ns)
            before = greatest[at - 1] if at else None
        if before is not None and sighting.term < before.term:
            found.append(_back(checker, before, sighting))
    return found[:MAX_REPORTED]


def _back(checker: str, before: Sighting, sighting: Sighting) -> Anomaly:
    times = seconds(before.end_ns, sighting.begin_ns)
    if sighting.how == WATCH:
        summary = (
            f"{saw(before)} in term {before.term}, and next, in the same watch, that {sighting.leader} does in term "
            f"{sighting.term}: terms only grow"
        )
    else:
        summary = (
            f"{saw(before)} in term {before.term}, by {times[0]}; asked after that, at {times[1]}, {saw(sighting)} in "
            f"term {sighting.term}: terms only grow"
        )
    return anomaly(checker, "term went back", summary, (before, sighting), sighting.election)


def _never_campaigned(checker: str, sightings: Sequence[Sighting], called: dict[str, Op]) -> list[Anomaly]:
    found = {}
    for sighting in sightings:
        call = called.get(sighting.leader)
        if sighting.leader not in found and (call is None or call.time > sighting.end_ns):
            (time,) = seconds(sighting.end_ns)
            why = (
                "no campaign of that id was ever called, or all failed" if call is None else "it campaigned only later"
            )
            summary = f"{saw(sighting)} in term {sighting.term}, by {time}, but {why}"
            later = () if call is None else (call.index,)
            found[sighting.leader] = anomaly(
                checker, "never a candidate", summary, (sighting,), sighting.election, *later
            )
    return list(found.values())[:MAX_REPORTED]


def _after_resigning(checker: str, sightings: Sequence[Sighting], stands: Sequence[Tenure]) -> list[Anomaly]:
    resigned = {(each.leader, each.term): each for each in stands if each.resigned_ns is not None}
    found = []
    for sighting in sightings:
        tenure = resigned.get((sighting.leader, sighting.term))
        if sighting.how != LEADER or tenure is None or tenure.resigned_ns is None:
            continue
        if sighting.begin_ns > tenure.resigned_ns:
            times = seconds(tenure.resigned_ns, sighting.begin_ns)
            summary = (
                f"{tenure.name} had resigned from term {tenure.term} by {times[0]}, but asked after that, at "
                f"{times[1]}, {saw(sighting)} in that term"
            )
            found.append(
                anomaly(checker, "led after it resigned", summary, (sighting,), sighting.election, *tenure.resigned)
            )
    return found[:MAX_REPORTED]


def _at_once(checker: str, stands: Sequence[Tenure]) -> list[Anomaly]:
    found = []
    longest: Tenure | None = None
    for tenure in sorted(stands, key=lambda each: each.begin_ns):
        if tenure.end_ns <= tenure.begin_ns:
            continue
        if longest is not None and tenure.begin_ns < longest.end_ns:
            times = seconds(longest.begin_ns, longest.end_ns, tenure.begin_ns)
            summary = (
                f"{longest.name} certainly led in term {longest.term} from {times[0]} to {times[1]}, but {tenure.name} "
                f"was elected by {times[2]} (term {tenure.term})"
            )
            found.append(
                anomaly(checker, "two leaders at once", summary, (), tenure.election, *longest.events, *tenure.events)
            )
        if longest is None or tenure.end_ns > longest.end_ns:
            longest = tenure
    return found[:MAX_REPORTED]


def _too_early(checker: str, looks: Sequence[tuple[Op, Op]], stands: Sequence[Tenure]) -> list[Anomaly]:
    """Return looks at the leader that saw another, or none, wholly within a time in which one certainly led."""
    ordered = sorted((each for each in stands if each.end_ns > each.begin_ns), key=lambda each: each.begin_ns)
    begins = [each.begin_ns for each in ordered]
    found = []
    for asked, done in looks:
        at = bisect_right(begins, asked.time)
        tenure = ordered[at - 1] if at else None
        told = (None, None) if done.value is None else (done.value.get("id"), done.value.get("term"))
        if tenure is None or done.time > tenure.end_ns or told == (tenure.leader, tenure.term):
            continue
        times = seconds(asked.time, done.time, tenure.begin_ns, tenure.end_ns)
        seen = "nobody led" if told[0] is None else f"{told[0]} led in term {told[1]}"
        summary = (
            f"process {asked.process} was told, asked at {times[0]} and answered at {times[1]}, that {seen}, but "
            f"{tenure.name} certainly led in term {tenure.term} from {times[2]} to {times[3]}"
        )
        witness = (asked.index, done.index, *tenure.events)
        found.append(anomaly(checker, "lost early", summary, (), tenure.election, *witness))
    return found[:MAX_REPORTED]


def _unsafe(history: History) -> tuple[str, ...]:
    """Say in one sentence what no election can prevent, and whether the fence did."""
    writes = []
    for asked, done in operations(history, ("write",)):
        if done is not None and done.type == "ok":
            value = done.value
            if not isinstance(value, dict) or {type(value.get("term")), type(value.get("sequence"))} != {int}:
                raise malformed(history, done, 'a write returns {"id", "term", "sequence", "fenced"}')
            writes.append((value["sequence"], freeze(asked.key), done))
    newest: dict[Any, Op] = {}
    stale: list[tuple[Op, Op]] = []
    for _, key, done in sorted(writes, key=lambda write: write[0]):
        before = newest.get(key)
        if before is not None and before.value["term"] > done.value["term"]:
            stale.append((done, before))
        else:
            newest[key] = done
    if not stale:
        return ()
    late, before = stale[0]
    times = seconds(late.time, before.time)
    fenced = all(done.value.get("fenced") is False for done, _ in stale)
    more = f"; there were {len(stale)} such writes" if len(stale) > 1 else ""
    return (
        f"{'unsafe but fenced' if fenced else 'unsafe'}: {late.value.get('id')}, leader of term {late.value['term']}, "
        f"wrote at {times[0]}, though {before.value.get('id')}, leader of term {before.value['term']}, had written at "
        f"{times[1]}; no time to live can prevent that, a plain resource took the write, and one that checks the term "
        f"{'refused it' if fenced else 'did not refuse all'}{more}",
    )
