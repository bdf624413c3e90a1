"""Today's anatomy in a session: found where a reference came with today's objects, kept, and confirmed by a person.

What is found lies under today/ and is recorded before the case is assembled from it, so that a session killed meanwhile
finds it again or finds it anew, and a confirmed contour is the file that was confirmed."""

from __future__ import annotations

from dataclasses import replace

from appliance.contracts import Case
from appliance.contracts.anatomy import Verdict
from appliance.contracts.progress import Progress
from appliance.errors import ApprovalError, NotAcknowledged
from appliance.session_anatomy import (
    CONTOURS_PAGE,
    REPORT_FILE,
    TODAY,
    anatomy_of,
    are_made_here,
    report_of,
    save_anatomy,
    save_made,
)
from appliance.session_contour_edits import ContourEditing
from appliance.session_record import ARTEFACTS
from appliance.session_states import Event
from appliance.session_work import Facts, Saved

NOT_CONFIRMED = "Nobody has confirmed today's contours, which were propagated: look at them with the plan"

PURPOSE = "couchside contours confirmed/1"
"""First line of what is signed, so that it can never pass for an approval of a plan."""


class Contouring(ContourEditing):
    """A part of Session."""

    def _assembled(self, progress: Progress) -> Case:
        """The case, from what was received and from today's anatomy where that had to be found."""
        if not self.files.has(REPORT_FILE) and (reference := self.files.reference()):
            folder = self.files.fresh_folder(TODAY)
            anatomy, before = self.stages.find_anatomy(self.files.received(), reference, folder, progress)
            case = self.stages.assemble(self.files.received(), anatomy)
            self.stages.write_contours_page(case, anatomy.report, before, folder / CONTOURS_PAGE)
            self._append(ARTEFACTS, {"artefacts": dict(save_anatomy(self.files, anatomy))})
            return case
        return self.stages.assemble(self.files.received(), anatomy_of(self.files))

    def _assemble_event(self) -> tuple[Event, Facts]:
        """Whether a person looks at today's contours before planning goes on, and why."""
        report, are_made = report_of(self.files), are_made_here(self.files)
        if report is not None and (why := self.stages.contours_to_confirm(report, are_made)):
            return Event.QUESTION_CONTOURS, {"to_confirm": why}
        if are_made:
            self._note(NOT_CONFIRMED)
        return Event.ASSEMBLE, {}

    def confirm_contours(self, identity: str, passphrase: str, reason: str = "") -> None:
        """Today's contours are as they should be, and planning goes on. reason: why, where a measure of today's anatomy
        is beyond its limit; NotAcknowledged is raised without it. Raises ApprovalError (recorded), IllegalTransition,
        ArtefactAltered."""
        with self._lock:
            self._follow(self.standing.state, Event.CONFIRM_CONTOURS)
            report, because = report_of(self.files), reason.strip()
            if report is not None and report.verdict is Verdict.STOP and not because:
                raise NotAcknowledged(str(self.standing.facts.get("to_confirm", "")))
            saved, case, facts = self._with_edits()
            try:
                statement = confirmation_bytes(self.id, case.digest, case.structure_set.sha256, because)
                actor, signature = self.stages.confirm(identity, passphrase, statement)
            except ApprovalError as refusal:
                self._append("approval.refused", {"identity": identity[:64], "reason": str(refusal.fields["reason"])})
                raise
            facts |= {"contours_confirmed": case.structure_set.sha256, "contours_signature": signature}
            facts |= {"to_confirm": "", "confirmed_because": because, "case_digest": case.digest}
            self._fire(Event.CONFIRM_CONTOURS, saved, facts, actor=actor)
            self._desk = self._review_gy = None
            self._case = None if saved else self._case

    def _with_edits(self) -> tuple[Saved, Case, Facts]:
        """The case with the contours as they were edited, written and not yet recorded; as it is without edits."""
        case, _ = self.case()
        written = self._write_edited(case)
        anatomy = None if written is None else anatomy_of(self.files)
        if written is None or anatomy is None:
            return {}, case, {}
        number, made = written
        edited = self.stages.assemble(self.files.received(), replace(anatomy, structure_set=made))
        return save_made(self.files, number, made), edited, {"contours_edited": number}


def confirmation_bytes(session_id: str, case_digest: str, structures_sha256: str, because: str) -> bytes:
    """What a confirmation of contours signs: the case as it was assembled and the file of its structures."""
    parts = (PURPOSE, session_id, case_digest, structures_sha256, because)
    return "\n".join(parts).encode()
