"""One fraction of online adaptive radiotherapy on one page: states, what leads from one to the next, stages.

    waiting for image -> assembling -> (contour review) -> predicting -> planning -> evaluating
    -> in review <-> revising -> approved -> exporting -> exported -> delivering -> delivered

and, from where it makes sense: rejected, scheduled plan chosen, stopped, failed (why). Each step makes its artefacts
durable, then commits one audit row with their SHA-256, and only then is the session in the next state and anybody told.
So a session killed at any moment is found again where its last row says, and runs the stage it was in once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from appliance.contracts import Approval, Case, Comparison, GoalSet, Received, Shown
from appliance.errors import (
    ApprovalError,
    ArtefactAltered,
    IllegalTransition,
    MachineLimitViolated,
    NotAcknowledged,
    NotApproved,
)
from appliance.session_anatomy import anatomy_of, with_registrations
from appliance.session_contours import Contouring
from appliance.session_predicted import prediction_facts, told_of
from appliance.session_record import ARTEFACTS, OPENED, Standing
from appliance.session_stages import Stages, Subject
from appliance.session_states import Event, State
from appliance.session_traded import traded_of
from appliance.session_work import Facts, Workplace, goal_facts, planned_facts, prescribed

__all__ = ["ENDED", "TABLE", "Event", "Session", "State", "next_state"]

_FLOW = {
    (State.WAITING, Event.RECEIVE): State.ASSEMBLING,
    (State.ASSEMBLING, Event.ASSEMBLE): State.PREDICTING,
    (State.ASSEMBLING, Event.QUESTION_CONTOURS): State.CONTOUR_REVIEW,
    (State.CONTOUR_REVIEW, Event.CONFIRM_CONTOURS): State.PREDICTING,
    (State.PREDICTING, Event.PREDICT): State.PLANNING,
    (State.PLANNING, Event.PLAN): State.EVALUATING,
    (State.EVALUATING, Event.EVALUATE): State.IN_REVIEW,
    (State.IN_REVIEW, Event.REVISE): State.REVISING,
    (State.IN_REVIEW, Event.EDIT_CONTOURS): State.CONTOUR_REVIEW,
    (State.REVISING, Event.FINISH_REVISION): State.PLANNING,
    (State.IN_REVIEW, Event.APPROVE): State.APPROVED,
    (State.APPROVED, Event.START_EXPORT): State.EXPORTING,
    (State.EXPORTING, Event.EXPORT): State.EXPORTED,
    (State.EXPORTING, Event.MISS_EXPORT): State.APPROVED,
    (State.EXPORTED, Event.START_DELIVERY): State.DELIVERING,
    (State.DELIVERING, Event.FINISH_DELIVERY): State.DELIVERED,
    (State.FAILED, Event.RETRY): State.ASSEMBLING,
}
_JUDGED = (State.CONTOUR_REVIEW, State.IN_REVIEW, State.REVISING)
_BEFORE_EXPORT = (State.ASSEMBLING, State.PREDICTING, State.PLANNING, State.EVALUATING, State.APPROVED, *_JUDGED)
_OUT = {
    (Event.REJECT, State.REJECTED): _JUDGED,
    (Event.CHOOSE_SCHEDULED, State.SCHEDULED_PLAN_CHOSEN): (*_JUDGED, State.FAILED),
    (Event.STOP, State.STOPPED): (State.WAITING, *_BEFORE_EXPORT, State.EXPORTED, State.DELIVERING, State.FAILED),
    (Event.FAIL, State.FAILED): (*_BEFORE_EXPORT, State.EXPORTING, State.DELIVERING),
}
TABLE: Mapping[tuple[State, Event], State] = _FLOW | {
    (state, event): to for (event, to), states in _OUT.items() for state in states
}
Objects = Sequence[Received]
ENDED = (State.DELIVERED, State.REJECTED, State.SCHEDULED_PLAN_CHOSEN, State.STOPPED)


def next_state(state: str, event: str) -> State:
    """Raises IllegalTransition for a pair that is not in the table."""
    for (here, what), to in TABLE.items():
        if (here, what) == (state, event):
            return to
    raise IllegalTransition(state=str(state), event=str(event))


class Session(Contouring):
    """Runs its stages in `run`, on one thread; `approve` and the other decisions may come from another. How a step is
    recorded, and what becomes of an error, is in `Steps`."""

    def __init__(self, standing: Standing, stages: Stages, workplace: Workplace) -> None:
        super().__init__(standing, workplace, next_state)
        self.stages = stages
        self._case: tuple[Case, GoalSet] | None = None
        self._stage_of = {
            State.ASSEMBLING: self._assemble,
            State.PREDICTING: self._predict,
            State.PLANNING: self._plan,
            State.EVALUATING: self._evaluate,
            State.REVISING: self._finish_revision,
            State.APPROVED: lambda: self._fire(Event.START_EXPORT),
            State.EXPORTING: self._export,
        }

    @staticmethod
    def open(session_id: str, patient_key: str, stages: Stages, workplace: Workplace) -> Session:
        session = Session(Standing(session_id), stages, workplace)
        session._append(OPENED, {"patient_key": patient_key, "state": State.WAITING.value})
        return session

    @property
    def state(self) -> State:
        return State(self.standing.state)

    # The stages, in order. What one makes, the next one takes.

    def receive(self, chosen: Objects, facts: Facts, notes: Sequence[str] = (), reference: Objects = ()) -> None:
        """Today's case has arrived. `chosen` are the objects it is made of, reference: those of the day that its plan
        was made for. facts: last_object_utc, set_digest."""
        next_state(self.state, Event.RECEIVE)
        self._fire(Event.RECEIVE, self.files.save_received(chosen, reference), facts)
        for note in notes:
            self._note(note)

    def _assemble(self) -> None:
        case = self._assembled(timer := self._timer())
        saved = self.files.save("goals.toml", self.stages.choose_goals(case))
        saved |= self.files.save_attachments(self.stages.attachments(self.standing.patient_key))
        case, goal_set = self._prescribe(case)
        for note in (*case.notes, *goal_set.notes):
            self._note(note)
        event, asked = self._assemble_event()
        facts: Facts = {"case_digest": case.digest, **goal_facts(goal_set), **asked}
        self._fire(event, saved, facts, steps=timer.seconds())

    def _predict(self) -> None:
        prediction = self.stages.predict(*self.case(), timer := self._timer())
        for sentence in told_of(prediction):
            self._note(sentence)
        saved = self.files.save_prediction(prediction)
        self._fire(Event.PREDICT, saved, prediction_facts(prediction), steps=timer.seconds())

    def _plan(self) -> None:
        made = self._plan_for(*self.case(), timer := self._timer())
        self._fire(Event.PLAN, self.files.save_planned(made), planned_facts(made), steps=timer.seconds())

    def _evaluate(self) -> None:
        if self._judgement_restored():
            return
        timer, (case, goal_set) = self._timer(), self.case()
        plan, dose = self.files.plan(), self.files.dose()
        facts_of_plan = self.stages.check_plan(plan)
        if not facts_of_plan.deliverable:
            raise MachineLimitViolated("; ".join(facts_of_plan.violations[:3]))
        second, second_dose = self.stages.second_check(case, plan, dose, timer)
        evaluation = self.stages.evaluate(case, goal_set, dose, facts_of_plan)
        evaluation = self.stages.beside_prediction(case, goal_set, self.files.predicted(), evaluation)
        notes = (*evaluation.notes, *self.standing.texts("prediction_notes"), *self.standing.texts("plan_notes"))
        trade_offs = self.files.trade_offs()
        evaluation = replace(evaluation, notes=notes, second_check=second, trade_offs=trade_offs)
        scheduled, scheduled_dose, note = self.stages.scheduled(case, goal_set, timer)
        if note:
            self._note(note)
        if scheduled is not None or evaluation.predicted is not None:
            evaluation = replace(evaluation, comparison=Comparison.of(evaluation, scheduled, evaluation.predicted))
        subject = Subject(
            case, goal_set, plan, dose, self.stages.on_image(dose, case), scheduled_dose, self.files.attachments()
        )
        evaluation = self.stages.deepen(subject, evaluation, timer)
        saved = self.files.save_evaluation(evaluation, self.stages.scorecard(evaluation))
        saved |= {} if second_dose is None else self.files.save_second_dose(second_dose)
        if scheduled is not None:
            saved |= self.files.save_scheduled(scheduled, self.stages.scorecard(scheduled))
        facts: Facts = {"evaluation_digest": evaluation.digest}
        facts |= {"goals_met": evaluation.goals_met, "goals_total": len(evaluation.goals)}
        facts |= {"second_check_agrees": second.agrees, "second_check": second.sentences[0]}
        facts |= {"to_acknowledge": evaluation.to_acknowledge if evaluation.needs_acknowledgement else ""}
        self._fire(Event.EVALUATE, saved | self._write_report(evaluation, scheduled), facts, steps=timer.seconds())

    def shown(self) -> Shown:
        """What the reviewer sees, by digest: an approval holds for exactly this. Reads every artefact back."""
        plan, dose, evaluation = self.files.plan(), self.files.dose(), self.files.evaluation()
        if (dose.plan_digest, evaluation.plan_digest) != (plan.digest, plan.digest):
            raise ArtefactAltered("plan.json, dose.npz and evaluation.json do not belong together")
        return Shown(self.id, self.case()[0].digest, plan.digest, dose.digest, evaluation.digest)

    def approve(self, identity: str, passphrase: str, acknowledged: str = "") -> Approval:
        """acknowledged: the approver's reason where the evaluation asks for one; NotAcknowledged is raised without it.
        Raises ApprovalError (recorded), IllegalTransition if nothing is in review, ArtefactAltered (and fails)."""
        with self._lock:
            next_state(self.state, Event.APPROVE)
            try:
                shown, evaluation = self.shown(), self.files.evaluation()
                if evaluation.needs_acknowledgement and not acknowledged.strip():
                    raise NotAcknowledged(evaluation.to_acknowledge)
                approval = self.stages.sign(identity, passphrase, shown, acknowledged.strip())
            except ArtefactAltered as error:
                self.fail(error)
                raise
            except ApprovalError as refusal:
                self._append("approval.refused", {"identity": identity[:64], "reason": str(refusal.fields["reason"])})
                raise
            saved = self.files.save("approval.json", approval.to_json())
            facts: Facts = {"shown_digest": approval.shown.digest, "demo_identity": approval.is_demo}
            facts |= {"acknowledged": approval.acknowledged} if approval.acknowledged else {}
            self._fire(Event.APPROVE, saved, facts, actor=f"{approval.approver} ({approval.role})")
        return approval

    def _export(self) -> None:
        approval = self.files.approval()
        self.stages.verify_approval(approval)
        if approval.shown != self.shown():
            raise NotApproved("The approval on record belongs to something else; review and approve again")
        timer, case, plan, dose = self._timer(), self.case()[0], self.files.plan(), self.files.dose()
        if not self.files.has("export.json"):
            folder = self.files.fresh_folder("export")
            export_set = self.stages.write_export_set(case, plan, dose, approval, folder)
            self.stages.read_back(export_set, case, plan, dose)
            export_set, record = self.stages.write_record(case, plan, self.files.evaluation(), approval, export_set)
            saved = self.files.save_export_set(with_registrations(self.files, export_set))
            for path in record:
                saved |= self.files.record_path(path)
            if (second := self.files.second_dose()) is not None:
                saved |= self.files.record_path(self.stages.write_second_dose(case, second, export_set))
            self._append(ARTEFACTS, {"artefacts": dict(saved)})
        for note in self.stages.send(self.files.export_set(), timer):
            self._note(note)
        report = self._write_report(self.files.evaluation(), self.files.scheduled(), traded_of(self.files))
        self._fire(Event.EXPORT, report, steps=timer.seconds())

    def reject(self, actor: str, reason: str) -> None:
        self._fire(Event.REJECT, facts={"why": reason}, actor=actor)

    def choose_scheduled(self, actor: str, reason: str) -> None:
        self._fire(Event.CHOOSE_SCHEDULED, facts={"why": reason}, actor=actor)

    def retry(self, actor: str) -> None:
        """Of a failed session: from what was received. Of one whose export missed the peer: `run` sends again."""
        if self.state is not State.APPROVED:
            self._fire(Event.RETRY, actor=actor)

    def case(self) -> tuple[Case, GoalSet]:
        """Raises ArtefactAltered if the stored objects no longer make the case that was assembled."""
        if self._case is None:
            case = self.stages.assemble(self.files.received(), anatomy_of(self.files))
            self.files.load("goals.toml")
            if case.digest != self.standing.facts["case_digest"]:
                raise ArtefactAltered("received.json leads to another case than the one that was assembled")
            return self._prescribe(case)
        return self._case

    def _prescribe(self, case: Case) -> tuple[Case, GoalSet]:
        self._case = prescribed(case, goal_set := self._goals_of(case)), goal_set
        return self._case

    def forget_images(self) -> None:
        self._case = self._case if self.state is State.IN_REVIEW else None
