"""Every way Couchside can fail, as one tree.

    CouchsideError
    ├── ConfigError                   the configuration file is not usable; nothing was started
    ├── RefusedInput                  something that came in was refused; what came before is untouched
    │   ├── RefusedObject             one DICOM object (inbound: quarantined, sender told)
    │   ├── IncompleteCase            the set of objects does not make a case (yet)
    │   ├── InconsistentCase          the objects contradict each other
    │   ├── RefusedGoals              the clinical goals cannot be read or do not fit the case
    │   │   ├── UncoveredFractionation  the guideline was made for another fractionation than the case's
    │   │   └── ContradictoryGoals    goals that no dose can meet together
    │   ├── AnatomyNotConfirmed       today's anatomy needs a person's look before a plan is made on it
    │   ├── RefusedEdit               a change of the plan that cannot be made as it was asked for
    │   ├── RefusedContourEdit        a change of contours that cannot be made as it was asked for
    │   ├── RefusedPackage            a guideline package is not whole, not signed by a trusted key, or not valid today
    │   └── RefusedMeasurements       beam measurements cannot be read, or are too few to commission a beam
    ├── PlanningError                 no deliverable plan could be made
    │   ├── MachineLimitViolated      a plan breaks a limit of the machine file
    │   ├── UnsupportedPlan           a plan uses what this release cannot compute
    │   ├── PolicyAnswerRefused       a language model as the planner answered with what is no change of this plan
    │   └── PlanningSystemFailed      the planning system gave an error before there was a plan
    │       └── PlanningSystemHung    it gave no sign of life any more
    ├── DeviceUnavailable             the GPU that was asked for is missing, out of memory, or failed
    ├── ModelError                    a beam model, machine or network file is missing, altered or out of its range
    │   └── NotPredicted              the dose network knows no patient like this one, or cannot run here
    ├── EvaluationError               a goal or metric cannot be computed on this dose
    │   ├── PriorNotSummed            an earlier course does not fit today's image or lacks what a sum needs
    │   ├── NotAccumulated            delivered fractions cannot be added up as they were given
    │   └── PreferenceRefused         decisions or a preference model cannot be used
    ├── ApprovalError                 approval refused: wrong person, passphrase or digest
    │   └── NotAcknowledged           the second calculation or a finding needs a reason, and nobody gave one
    ├── ExportError                   nothing was sent, or the peer did not confirm
    │   ├── NotApproved               export was asked for without an approval row
    │   └── ReadBackMismatch          what was written does not read back to what was approved
    ├── AuditError                    the audit log cannot be written or is not intact; work stops
    ├── SessionError                  the session cannot do this now
    │   ├── IllegalTransition         event not allowed in this state
    │   ├── SessionStopped            a person asked the running stage to give up
    │   └── ArtefactAltered           a file of the session is gone or not as recorded
    └── NodeError                     the node cannot start or go on: port, store, disk
        ├── StoreBusy                 another process holds the store
        ├── DiskFull                  too little room to write or receive safely
        └── WriteFailed               a file could not be written whole; nothing stands under its name

Each leaf has a stable `key`, one `sentence` for a clinician (what is wrong, and what to do) and its `fields`.
`exit_code` is what the command line returns; the README lists them.
"""

from __future__ import annotations

from typing import ClassVar


class CouchsideError(Exception):
    """Root. `template` is filled with `fields`; `str(error)` is the sentence."""

    key: ClassVar[str] = "couchside"
    template: ClassVar[str] = "{reason}"
    exit_code: ClassVar[int] = 1

    def __init__(self, reason: str = "", **fields: object) -> None:
        self.fields: dict[str, object] = {"reason": reason, **fields}
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        return self.template.format(**self.fields)


class ConfigError(CouchsideError):
    key = "config"
    template = "The configuration cannot be used: {reason}"
    exit_code = 3


class RefusedInput(CouchsideError):
    key = "refused"
    exit_code = 4


class RefusedObject(RefusedInput):
    """One object refused. Fields: what (modality or file, no patient data), reason, remedy, rule (stable id)."""

    key = "refused.object"
    template = "{what} was refused: {reason}. {remedy}"

    def __init__(self, reason: str, *, what: str, remedy: str, rule: str) -> None:
        super().__init__(reason, what=what, remedy=remedy, rule=rule)


class IncompleteCase(RefusedInput):
    """The set is not complete. Fields: missing (sentence part), remedy."""

    key = "refused.incomplete"
    template = "The case is not complete: {reason}. {remedy}"

    def __init__(self, reason: str, *, remedy: str) -> None:
        super().__init__(reason, remedy=remedy)


class InconsistentCase(RefusedInput):
    """Objects that contradict each other or cannot be used. Fields: what, reason, remedy, rule."""

    key = "refused.inconsistent"
    template = "{what} cannot be used: {reason}. {remedy}"

    def __init__(self, reason: str, *, what: str, remedy: str, rule: str = "") -> None:
        super().__init__(reason, what=what, remedy=remedy, rule=rule)


class AnatomyNotConfirmed(RefusedInput):
    key = "refused.anatomy"
    template = (
        "Today's anatomy has to be looked at before a plan is made on it: {reason}. Compare both images and correct "
        "the contours, or take today's image again"
    )


class RefusedGoals(RefusedInput):
    key = "refused.goals"
    template = "The clinical goals cannot be used: {reason}"


class UncoveredFractionation(RefusedGoals):
    key = "refused.fractionation"
    template = "The guideline does not cover this fractionation, and is not applied to it: {reason}"


class ContradictoryGoals(RefusedGoals):
    key = "refused.contradictory_goals"
    template = "The clinical goals contradict each other: {reason}"


class RefusedEdit(RefusedInput):
    """A change of the plan in review. Fields: reason, choices (what would be understood, one string)."""

    key = "refused.edit"
    template = "The plan was not changed: {reason}{choices}"

    def __init__(self, reason: str, choices: tuple[str, ...] = ()) -> None:
        super().__init__(reason, choices=f" (choose from {', '.join(choices)})" if choices else "")


class RefusedContourEdit(RefusedInput):
    """A change of contours. Fields: reason, remedy."""

    key = "refused.contour_edit"
    template = "The contours were not changed: {reason}. {remedy}"

    def __init__(self, reason: str, *, remedy: str) -> None:
        super().__init__(reason, remedy=remedy)


class RefusedPackage(RefusedInput):
    """A guideline package. Fields: what (its name, or the folder's), reason, remedy."""

    key = "refused.package"
    template = "The guideline package {what} was refused: {reason}. {remedy}"

    def __init__(self, reason: str, *, what: str, remedy: str) -> None:
        super().__init__(reason, what=what, remedy=remedy)


class RefusedMeasurements(RefusedInput):
    """Measurements of a beam. Fields: what (file and line), reason, remedy."""

    key = "refused.measurements"
    template = "{what} cannot be used: {reason}. {remedy}"

    def __init__(self, reason: str, *, what: str, remedy: str) -> None:
        super().__init__(reason, what=what, remedy=remedy)


class PlanningError(CouchsideError):
    key = "planning"
    template = "No deliverable plan could be made: {reason}"
    exit_code = 5


class MachineLimitViolated(PlanningError):
    key = "planning.machine_limit"
    template = "The plan breaks a machine limit: {reason}. Plan again within its limits, or name the machine meant"


class UnsupportedPlan(PlanningError):
    key = "planning.unsupported"
    template = (
        "This plan cannot be computed by this release: {reason}. It computes photon beams, static or arcs, with "
        "collimator and couch at rest, shaped by jaws, a multileaf collimator or both"
    )


class PolicyAnswerRefused(PlanningError):
    key = "planning.policy_answer"
    template = "The language model's answer was refused: {reason}. Nothing was changed"


class PlanningSystemFailed(PlanningError):
    key = "planning.system_failed"
    template = (
        "No deliverable plan could be made: the planning system failed ({reason}). Try the session again; where it "
        "fails again, send the case to support"
    )


class PlanningSystemHung(PlanningSystemFailed):
    key = "planning.system_hung"
    template = (
        "No deliverable plan could be made: the planning system does not answer ({reason}). Restart the service, then "
        "try the session again"
    )


class ModelError(CouchsideError):
    key = "model"
    template = "A model or machine file cannot be used: {reason}"
    exit_code = 6


class NotPredicted(ModelError):
    key = "model.not_predicted"
    template = "No dose can be predicted for this case: {reason}"


class DeviceUnavailable(CouchsideError):
    key = "device"
    template = (
        "The compute device cannot be used: {reason}. With --device cpu everything is computed without it, and "
        "with planning.device 'cpu' where a command has no such option"
    )
    exit_code = 14


class EvaluationError(CouchsideError):
    key = "evaluation"
    template = "The plan could not be evaluated: {reason}"
    exit_code = 5


class PriorNotSummed(EvaluationError):
    key = "evaluation.prior"
    template = "The earlier course was not summed: {reason}"


class NotAccumulated(EvaluationError):
    key = "evaluation.accumulation"
    template = "The delivered dose was not accumulated: {reason}"


class PreferenceRefused(EvaluationError):
    key = "evaluation.preference"
    template = "The preference model cannot be used: {reason}"


class ApprovalError(CouchsideError):
    key = "approval"
    template = "Approval was refused: {reason}"
    exit_code = 7


class NotAcknowledged(ApprovalError):
    key = "approval.not_acknowledged"
    template = (
        "Approval was refused: {reason}. Look at the second check and the findings in the report; to approve all the "
        "same, say why with --acknowledge"
    )


class ExportError(CouchsideError):
    key = "export"
    template = "The plan was not exported: {reason}"
    exit_code = 8


class NotApproved(ExportError):
    key = "export.not_approved"
    template = "The plan was not exported: no approval is on record for exactly this plan. {reason}"


class ReadBackMismatch(ExportError):
    key = "export.read_back"
    template = "The plan was not exported: the written objects do not read back to the approved plan ({reason})"


class AuditError(CouchsideError):
    key = "audit"
    template = "The audit log is not usable, so work stops: {reason}"
    exit_code = 9


class SessionError(CouchsideError):
    key = "session"
    exit_code = 10


class IllegalTransition(SessionError):
    """Fields: state, event."""

    key = "session.transition"
    template = "Not possible now: '{event}' is not allowed while the session is '{state}'"

    def __init__(self, *, state: str, event: str) -> None:
        super().__init__("", state=state, event=event)


class SessionStopped(SessionError):
    """Fields: reason, actor. Raised inside a stage through its progress; the session then goes to 'stopped'."""

    key = "session.stopped"
    template = "The session was stopped by {actor}: {reason}"

    def __init__(self, reason: str, *, actor: str) -> None:
        super().__init__(reason, actor=actor)


class ArtefactAltered(SessionError):
    key = "session.artefact"
    template = "The session cannot go on, because its file {reason}; start it again with retry"


class NodeError(CouchsideError):
    key = "node"
    template = "The node cannot run: {reason}"
    exit_code = 11


class StoreBusy(NodeError):
    key = "node.store_busy"
    template = "The store {reason} is in use by another Couchside process; stop it first or use another store"


class DiskFull(NodeError):
    key = "node.disk_full"
    template = "Too little disk space: {reason}. Free space on that disk, then try or send again"


class WriteFailed(NodeError):
    key = "node.write"
    template = "A file could not be written: {reason}. Check that the folder exists and may be written, then try again"
