"""Today's anatomy in a session: found where a reference came with today's objects, kept, and confirmed by a person.

What is found lies under today/ and is recorded before the case is assembled from it, so that a session killed meanwhile
finds it again or finds it anew, and a confirmed contour is the file that was confirmed."""

from __future__ import annotations

from appliance.contracts import Case
from appliance.contracts.progress import Progress
from appliance.session_anatomy import REPORT_FILE, TODAY, anatomy_of, save_anatomy
from appliance.session_record import ARTEFACTS
from appliance.session_revising import Revising
from appliance.session_states import Event
from appliance.session_work import Facts

NOT_CONFIRMED = "Nobody has confirmed today's contours, which were propagated: look at them with the plan"


class Contouring(Revising):
    """A part of Session."""

    def _assembled(self, progress: Progress) -> Case:
        """The case, from what was received and from today's anatomy where that had to be found."""
        if not self.files.has(REPORT_FILE) and (reference := self.files.reference()):
            folder = self.files.fresh_folder(TODAY)
            anatomy = self.stages.find_anatomy(self.files.received(), reference, folder, progress)
            self._append(ARTEFACTS, {"artefacts": dict(save_anatomy(self.files, anatomy))})
        return self.stages.assemble(self.files.received(), anatomy_of(self.files))

    def _assemble_event(self) -> tuple[Event, Facts]:
        """Whether a person looks at today's contours before planning goes on, and why."""
        anatomy = anatomy_of(self.files)
        if anatomy is None or not (why := self.stages.contours_to_confirm(anatomy)):
            if anatomy is not None and anatomy.structure_set is not None:
                self._note(NOT_CONFIRMED)
            return Event.ASSEMBLE, {}
        return Event.QUESTION_CONTOURS, {"to_confirm": why}

    def confirm_contours(self, actor: str) -> None:
        """Today's contours are as they should be, and planning goes on. Raises IllegalTransition, ArtefactAltered."""
        with self._lock:
            self._follow(self.standing.state, Event.CONFIRM_CONTOURS)
            case, _ = self.case()
            facts: Facts = {"contours_confirmed": case.structure_set.sha256, "to_confirm": ""}
            self._fire(Event.CONFIRM_CONTOURS, facts=facts, actor=actor)
