"""The nouns that stages hand to each other: frozen, small, one file each. Frame: DICOM patient LPS, mm, (z, y, x)."""

from appliance.contracts.approval import Approval, Shown
from appliance.contracts.attachments import Attachments
from appliance.contracts.case import (
    Case,
    Contour,
    DensityOverride,
    Identity,
    Image,
    PrescribedTarget,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.contracts.command import Command
from appliance.contracts.dose import CalculatedDose, PredictedDose
from appliance.contracts.evaluation import DvhCurve, Evaluation, GoalResult, PlanFacts, TargetIndices
from appliance.contracts.export_set import RECORD_FILES, ExportSet
from appliance.contracts.finding import Finding, Outcome, Severity
from appliance.contracts.goals import ClinicalGoal, Comparator, GoalSet, Grade, Metric, MetricKind
from appliance.contracts.objectives import Objective, ObjectiveKind, Objectives
from appliance.contracts.plan import Beam, ControlPoint, Jaws, Plan
from appliance.contracts.planned import Planned
from appliance.contracts.received import Received
from appliance.contracts.second_check import SECOND_DOSE_FILE, BeamPoint, DvhDifference, SecondCheck, TargetDifference
from appliance.contracts.tps import GoalConflict, PlanningState, TreatmentPlanningSystem

__all__ = [
    "RECORD_FILES",
    "SECOND_DOSE_FILE",
    "Approval",
    "Attachments",
    "Beam",
    "BeamPoint",
    "CalculatedDose",
    "Case",
    "ClinicalGoal",
    "Command",
    "Comparator",
    "Contour",
    "ControlPoint",
    "DensityOverride",
    "DvhCurve",
    "DvhDifference",
    "Evaluation",
    "ExportSet",
    "Finding",
    "GoalConflict",
    "GoalResult",
    "GoalSet",
    "Grade",
    "Identity",
    "Image",
    "Jaws",
    "Metric",
    "MetricKind",
    "Objective",
    "ObjectiveKind",
    "Objectives",
    "Outcome",
    "Plan",
    "PlanFacts",
    "Planned",
    "PlanningState",
    "PredictedDose",
    "PrescribedTarget",
    "Received",
    "SecondCheck",
    "Severity",
    "Shown",
    "SourceObject",
    "Structure",
    "StructureKind",
    "TargetDifference",
    "TargetIndices",
    "TreatmentPlanningSystem",
]
