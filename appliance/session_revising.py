"""A plan in review revised, and undone: what the session does between `in review` and `planning`.

Before each revision the version in review is kept under revisions/N/, by links to files that are never written in
place. A revision is checked whole before the session leaves `in review`; from then on everything it needs stands on the
disk and in the log, so a session killed anywhere goes on where it was. An Undo takes the files of a version as they
are, the judgement too, so that nothing is planned or judged again and every digest is what it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue, TypeAdapter

from appliance.contracts import (
    Case,
    Edit,
    EditMade,
    GoalSet,
    Planned,
    PlanningFacts,
    Revision,
    TakeTrade,
    TradeOff,
    Undo,
    Working,
)
from appliance.contracts.progress import Progress
from appliance.errors import ArtefactAltered, PlanningError, RefusedEdit
from appliance.execution.watch import TPS_FAILURES
from appliance.session_artefacts import REPORT, Artefacts
from appliance.session_edits import present_plan, revised, traded
from appliance.session_record import EDITED
from appliance.session_report import Reporting
from appliance.session_states import Event
from appliance.session_traded import NAVIGATION_FILE, NAVIGATION_JSON, traded_of
from appliance.session_work import Facts, Saved

REVISION, PENDING, WORKING = "revision.json", "pending-revision.json", "working.npz"
JUDGEMENT_FILES = ("evaluation.json", "scorecard.json", "second-dose.npz", "scheduled-evaluation.json",
                   "scheduled-scorecard.json")  # fmt: skip
BESIDE_FILES = (NAVIGATION_FILE, NAVIGATION_JSON)
"""Made while the plan is read: not always there, and as good as ever when an Undo brings the plan back."""
VERSION_FILES = ("plan.json", "dose.npz", "trade-offs.json", "story.json", WORKING, *JUDGEMENT_FILES, *BESIDE_FILES)
"""What is kept of a version: all that an Undo takes back, and what a revision goes on from. Its report is kept too."""
JUDGED_FACTS = ("evaluation_digest", "goals_met", "goals_total", "second_check_agrees", "second_check",
                "to_acknowledge")  # fmt: skip
_FACTS = TypeAdapter(dict[str, JsonValue])
_PLANNING = TypeAdapter(PlanningFacts)


def version_folder(number: int) -> str:
    """Where the version before revision `number` is kept, in the session's folder."""
    return f"revisions/{number}"


def revised_goals(files: Artefacts) -> GoalSet | None:
    """The goals as they were revised last; None where those of the goal file hold."""
    return Revision.from_json(files.load(REVISION)).goal_set if files.has(REVISION) else None


def _working(files: Artefacts) -> Working | None:
    """None also for that of another release, which is as if none had been kept. Raises ArtefactAltered."""
    try:
        return Working.from_bytes(files.load(WORKING)) if files.has(WORKING) else None
    except PlanningError:
        return None


class Revising(Reporting):
    """A part of Session."""

    _case: tuple[Case, GoalSet] | None

    def revise(self, actor: str, edits: Sequence[Edit]) -> Revision:
        """The session is `revising` when this returns, and `run` plans. Raises RefusedEdit (nothing has changed),
        IllegalTransition if nothing is in review, ArtefactAltered."""
        with self._lock:
            self._follow(self.standing.state, Event.REVISE)
            before, number = self._revision(), self._revisions() + 1
            if any(isinstance(edit, Undo) for edit in edits):
                revision = self._undone(before, edits, actor, number)
            else:
                case, _ = self.case()
                present = present_plan(case, self.stages.on_image(self.files.dose(), case))
                began, trade = replace(before, number=number - 1), edits[0] if len(edits) == 1 else None
                if isinstance(trade, TakeTrade):
                    revision = traded(present, began, trade, actor, traded_of(self.files))
                else:
                    revision = revised(present, began, edits, actor)
            saved = self._keep_version(number, before) | self.files.save(PENDING, revision.to_json())
            made: list[JsonValue] = [f"{one.old} -> {one.new}" for one in revision.made]
            self._fire(Event.REVISE, saved, {"revisions": number, "edits": made}, actor=actor)
        return revision

    def _revisions(self) -> int:
        count = self.standing.facts.get("revisions", 0)
        return count if isinstance(count, int) else 0

    def _revision(self) -> Revision:
        """The one that is planned for now; number 0 where there was none."""
        if self.files.has(REVISION):
            return Revision.from_json(self.files.load(REVISION))
        return Revision(0, self.case()[1])

    def _undone(self, before: Revision, edits: Sequence[Edit], actor: str, number: int) -> Revision:
        if len(edits) > 1:
            raise RefusedEdit("undo stands alone: it cannot be combined with other changes")
        if not before.parent:
            raise RefusedEdit("there is no revision of this plan to undo")
        former = Revision.from_json(self.files.load(f"{version_folder(before.parent)}/{REVISION}"))
        words = "; ".join(made.new for made in before.made), f"as before revision {before.parent}"
        made = EditMade(edits[0], actor, *words)
        return replace(former, number=number, made=(made,), asked=(), relaxed=(), restores=before.parent)

    def _keep_version(self, number: int, before: Revision) -> Saved:
        folder = version_folder(number)
        saved = self.files.save(f"{folder}/{REVISION}", before.to_json())
        facts = {name: self.standing.facts.get(name) for name in ("plan_notes", "planning", *JUDGED_FACTS)}
        saved |= self.files.save(f"{folder}/facts.json", json.dumps(facts, ensure_ascii=False).encode())
        for name in VERSION_FILES:
            saved |= self.files.link(name, f"{folder}/{name}") if self.files.has(name) else {}
        try:
            saved |= self.files.link(REPORT, f"{folder}/{REPORT}")
        except ArtefactAltered as altered:
            # A page for people, replaced while they read, where a crash may come between file and row.
            self._note(f"The report of the version before revision {number} was not kept: {altered.fields['reason']}")
        return saved

    def _finish_revision(self) -> None:
        """One row for each edit, also where an earlier try wrote some of them, and on to planning."""
        data = self.files.load(PENDING)
        revision = Revision.from_json(data)
        written = [r.data for r in self._work.audit.rows(session_id=self.id, event=EDITED)]
        for place, made in enumerate(revision.made):
            row: Facts = {"revision": revision.number, "place": place, "old": made.old, "new": made.new}
            note = f"Revision {revision.number}, {made.edit.kind}, asked for by {made.who}: {made.new}"
            if not any((one["revision"], one["place"]) == (revision.number, place) for one in written):
                self._append(EDITED, row | {"kind": made.edit.kind}, made.who)
            if note not in self.standing.notes:
                self._note(note)
        self._case = None
        facts: Facts = {"goal_set_digest": revision.goal_set.digest}
        self._fire(Event.FINISH_REVISION, self.files.save(REVISION, data), facts)

    # What the stages of the session ask.

    def _goals_of(self, case: Case) -> GoalSet:
        """The goals as they were revised last, or those of the goal file."""
        return revised_goals(self.files) or self.stages.goals_for_case(self.files.folder / "goals.toml", case)

    def _plan_for(self, case: Case, goal_set: GoalSet, progress: Progress) -> Planned:
        """From the goals, or where the plan is being revised from the version before. A revision that cannot be planned
        leaves the plan as it was."""
        if not self.files.has(REVISION):
            return self.stages.plan(case, goal_set, self.files.predicted(), progress)
        revision = self._revision()
        if revision.restores:
            return self._version(revision.restores)
        before = self._version(revision.parent)
        try:
            if revision.trade is None:
                made = self.stages.revise(case, revision, before, progress)
            else:
                known = traded_of(self.files.within(version_folder(revision.parent)))
                made = self.stages.take_trade(case, revision, before, known, progress)
        except TPS_FAILURES as error:
            why = f"Revision {revision.number} could not be planned, and the plan stays as it was: {error.sentence}"
            made = replace(before, notes=(why,))
        told = [f"Revision {revision.number}, asked for by {one.who}: {one.old} -> {one.new}" for one in revision.made]
        # What was said of a plan holds for as long as it is the plan.
        earlier = before.notes if made.plan.digest == before.plan.digest else ()
        return replace(made, notes=tuple(dict.fromkeys((*told, *made.notes, *earlier))))

    def _version(self, number: int) -> Planned:
        """Plan and dose as they were before revision `number`, with what was said of them and how they were planned."""
        version = self.files.within(version_folder(number))
        facts = _FACTS.validate_json(version.load("facts.json"))
        notes, planning = facts.get("plan_notes"), facts.get("planning")
        told = tuple(str(note) for note in notes) if isinstance(notes, list) else ()
        how = None if planning is None else _PLANNING.validate_python(planning)
        trade_offs: tuple[TradeOff, ...] = version.trade_offs()
        return Planned(version.plan(), version.dose(), told, trade_offs, version.story(), how, _working(version))

    def _judgement_restored(self) -> bool:
        """An undone revision leads to what was judged already: the same evaluation, byte for byte, in a new report."""
        if not self.files.has(REVISION) or not (number := self._revision().restores):
            return False
        folder = version_folder(number)
        names = [name for name in (*JUDGEMENT_FILES, *BESIDE_FILES) if self.files.has(f"{folder}/{name}")]
        saved: Saved = {}
        for name in names:
            saved |= self.files.link(f"{folder}/{name}", name)
        version = self.files.within(folder)
        saved |= self._write_report(version.evaluation(), version.scheduled(), traded_of(version))
        facts = _FACTS.validate_json(version.load("facts.json"))
        self._fire(Event.EVALUATE, saved, {name: facts.get(name) for name in JUDGED_FACTS})
        return True
