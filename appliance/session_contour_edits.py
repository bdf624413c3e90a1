"""Today's contours edited in a session: each edit is a row of the log, and the contours they lead to are written once,
when they are confirmed.

The desk in memory is what the rows since the session came to `contour review` make of the contours as they were then,
so it is found again after a restart. Contours that are confirmed after edits lie under today/edited-N/, beside those
that were found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, ValidationError

from appliance.case.today.changed_dvh import changed_dvhs
from appliance.case.today.editing import ContourDesk, DeskChange
from appliance.contracts import Case, ClinicalGoal, DvhCurve, Received
from appliance.contracts.contour_edit import ContourEdit, contour_edits_from_json, contour_edits_to_json
from appliance.contracts.progress import Progress, silent
from appliance.errors import AuditError, EvaluationError, RefusedContourEdit
from appliance.evaluation.judged import Judged, Regions, goal_value
from appliance.session_anatomy import edited_folder, edits_made, report_of
from appliance.session_record import TRANSITION
from appliance.session_revising import REVISION, Revising
from appliance.session_states import Event, State
from appliance.session_work import Facts

CONTOUR_EDITED = "session.contour_edit"
UNDO, REDO = "undo", "redo"
REVISIONS_LEFT = (
    "The contours were edited after the plan had been revised: it is planned for the goals of the goal file again. "
    "Make the revision again if it still matters"
)


class ContourEditing(Revising):
    """A part of Session."""

    _desk: ContourDesk | None = None
    _review_gy: tuple[NDArray[np.float32] | None] | None = None

    def edit_contours(self, actor: str, edits: Sequence[ContourEdit]) -> DeskChange:
        """All of them or none. Of a session in review the contours are reviewed again, and then planned on again.
        Raises RefusedContourEdit, IllegalTransition."""
        with self._lock:
            desk, at = self._at_desk(actor), _now()
            changes: list[DeskChange] = []
            try:
                for edit in edits:
                    changes.append(desk.apply(edit, by=actor, at_utc=at))
            except RefusedContourEdit:
                for _ in changes:
                    desk.undo()
                raise
            for edit in edits:
                self._record(actor, at, json.loads(contour_edits_to_json((edit,)))[0])
            return _together(desk, changes)

    def undo_contours(self, actor: str) -> DeskChange:
        """The last edit not undone. Raises RefusedContourEdit where there is none, IllegalTransition."""
        return self._step(actor, UNDO, lambda desk: desk.undo())

    def redo_contours(self, actor: str) -> DeskChange:
        return self._step(actor, REDO, lambda desk: desk.redo())

    def _step(self, actor: str, word: str, step: Callable[[ContourDesk], DeskChange]) -> DeskChange:
        with self._lock:
            change = step(self._at_desk(actor))
            self._record(actor, _now(), word)
            return change

    def _at_desk(self, actor: str) -> ContourDesk:
        """The session is in contour review when this returns."""
        if self.standing.state == State.IN_REVIEW:
            if report_of(self.files) is None:
                raise RefusedContourEdit(
                    "today's structures were received without a reference", remedy="Send an edited structure set"
                )
            if self.files.has(REVISION):
                self._note(REVISIONS_LEFT)
            self._fire(Event.EDIT_CONTOURS, facts={"to_confirm": "the contours are being edited"}, actor=actor)
            self._case = None
        self._follow(self.standing.state, Event.CONFIRM_CONTOURS)
        if self._desk is None:
            self._desk = self._replayed()
        return self._desk

    def _replayed(self) -> ContourDesk:
        case, _ = self.case()
        report = report_of(self.files)
        desk = self.stages.contour_desk(case, () if report is None else report.recognised)
        for edit, by, at in self._edits():
            if edit == UNDO:
                desk.undo()
            elif edit == REDO:
                desk.redo()
            else:
                desk.apply(_edit_of(edit), by=by, at_utc=at)
        return desk

    def _edits(self) -> list[tuple[object, str, str]]:
        """(edit, undo or redo; by; at) of the rows since the contours came to be reviewed."""
        rows: list[tuple[object, str, str]] = []
        for row in self._work.audit.rows(session_id=self.id):
            if row.event == TRANSITION and row.data.get("to") == State.CONTOUR_REVIEW.value:
                rows.clear()
            elif row.event == CONTOUR_EDITED:
                rows.append((row.data["edit"], row.actor, str(row.data["at_utc"])))
        return rows

    def _record(self, actor: str, at_utc: str, edit: object) -> None:
        data: Facts = {"edit": edit, "at_utc": at_utc}  # type: ignore[dict-item]
        self._append(CONTOUR_EDITED, data, actor)

    def contour_effect(self, change: DeskChange, progress: Progress = silent) -> list[Facts]:
        """Of each structure that changed its volume, its histogram and what its goals get in the scheduled plan's dose
        on today's anatomy, calculated once (`dvh` and `value` are None where there is no such plan). Nothing else is
        computed again."""
        case, goal_set = self.case()
        if self._review_gy is None:
            _, dose, _ = self.stages.scheduled(case, goal_set, progress)
            self._review_gy = (None if dose is None else self.stages.on_image(dose, case),)
        drawn = {structure.tg263: structure for structure in change.structures}
        now = replace(case, structures=tuple(drawn.get(one.tg263, one) for one in case.structures))
        cell_cc, dose_gy = case.image.grid.voxel_volume_cc, self._review_gy[0]
        judged = None if dose_gy is None else Judged(Regions(now), dose_gy)
        curves = () if dose_gy is None else changed_dvhs(change, dose_gy, case.image.grid).curves
        dvh = {curve.structure: curve for curve in curves}
        effect: list[Facts] = []
        for name, structure in drawn.items():
            goals: list[JsonValue] = [
                {"goal": str(goal), "unit": goal.unit, "limit": goal.limit, "value": _value(goal, judged)}
                for goal in goal_set.goals
                if goal.structure == name
            ]
            one: Facts = {"structure": name, "volume_cc": structure.voxels.volume_cc(cell_cc), "goals": goals}
            effect.append(one | {"dvh": _drawn(dvh[name]) if name in dvh else None})
        return effect

    def _write_edited(self, case: Case) -> tuple[int, Received] | None:
        """Today's structure set as it was edited, and its number; None where it was not."""
        desk = self._desk if self._desk is not None else self._replayed()
        if not desk.edits:
            return None
        number = edits_made(self.files) + 1
        made = self.stages.write_contours(case, desk.structures, self.files.fresh_folder(edited_folder(number)))
        names = sorted({edit.structure for edit in desk.edits})
        self._note(f"Contours were edited: {', '.join(names)}")
        return number, made


def _together(desk: ContourDesk, changes: Sequence[DeskChange]) -> DeskChange:
    """What several edits changed, as it is now."""
    if len(changes) == 1:
        return changes[0]
    slices: dict[str, tuple[int, ...]] = {}
    for change in changes:
        for name, own in change.slices.items():
            slices[name] = tuple(sorted({*slices.get(name, ()), *own}))
    now = tuple(one for one in desk.structures if one.tg263 in slices)
    return DeskChange(now, slices, tuple(note for change in changes for note in change.notes))


def _drawn(curve: DvhCurve) -> dict[str, JsonValue]:
    points: dict[str, JsonValue] = {"dose_gy": list(curve.dose_gy), "volume_percent": list(curve.volume_percent)}
    return {"mean_gy": curve.mean_gy, "max_gy": curve.max_gy} | points


def _value(goal: ClinicalGoal, judged: Judged | None) -> float | None:
    try:
        return None if judged is None else goal_value(goal, judged.volume(goal.structure))
    except EvaluationError:
        return None


def _edit_of(data: object) -> ContourEdit:
    """Raises AuditError for a row that no release wrote."""
    try:
        return contour_edits_from_json(json.dumps([data]))[0]
    except ValidationError as error:
        raise AuditError("a row of the log holds an edit of contours that cannot be read") from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
