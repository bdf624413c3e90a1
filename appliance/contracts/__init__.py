"""The nouns that stages hand to each other: frozen, small, one file each. Frame: DICOM patient LPS, mm, (z, y, x)."""

from appliance.contracts.approval import Approval, Shown
from appliance.contracts.attachments import Attachments, PriorStated
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
from appliance.contracts.comparison import Comparison, GoalComparison, PlanScore, PredictedJudgement, Standing
from appliance.contracts.dose import CalculatedDose, PredictedBand, PredictedDose, Prediction
from appliance.contracts.edit import (
    ChangeGoal,
    ChangePriority,
    Edit,
    EditMade,
    HotRegion,
    Isodose,
    ProtectMore,
    PushCoverage,
    Refusal,
    RemoveHotSpot,
    Revision,
    Sphere,
    TakeTrade,
    Undo,
)
from appliance.contracts.evaluation import DvhCurve, Evaluation, PlanFacts, TargetIndices
from appliance.contracts.export_set import RECORD_FILES, ExportSet
from appliance.contracts.finding import Finding, Outcome, Severity
from appliance.contracts.goal_result import GoalResult
from appliance.contracts.goals import ClinicalGoal, Comparator, GoalSet, Grade, GuidelineSource, Metric, MetricKind
from appliance.contracts.objectives import Objective, ObjectiveKind, Objectives
from appliance.contracts.plan import Beam, ControlPoint, Jaws, Plan
from appliance.contracts.planned import Planned, PlanningFacts
from appliance.contracts.received import Received
from appliance.contracts.reference_start import CanFollow, Followed, ReferenceStart
from appliance.contracts.second_check import SECOND_DOSE_FILE, BeamPoint, DvhDifference, SecondCheck, TargetDifference
from appliance.contracts.story import (
    STORY_FILE,
    PlanningStory,
    StoryChange,
    StoryCurve,
    StoryGoal,
    StoryStage,
    StoryStep,
)
from appliance.contracts.tps import (
    CanBeQuick,
    CanImitate,
    CanResume,
    CanTakeFluence,
    GoalConflict,
    PlanningState,
    SteerableTps,
    TreatmentPlanningSystem,
)
from appliance.contracts.trade_off import Opponent, TradeOff
from appliance.contracts.working import Working

__all__ = [
    "RECORD_FILES",
    "SECOND_DOSE_FILE",
    "STORY_FILE",
    "Approval",
    "Attachments",
    "Beam",
    "BeamPoint",
    "CalculatedDose",
    "CanBeQuick",
    "CanFollow",
    "CanImitate",
    "CanResume",
    "CanTakeFluence",
    "Case",
    "ChangeGoal",
    "ChangePriority",
    "ClinicalGoal",
    "Command",
    "Comparator",
    "Comparison",
    "Contour",
    "ControlPoint",
    "DensityOverride",
    "DvhCurve",
    "DvhDifference",
    "Edit",
    "EditMade",
    "Evaluation",
    "ExportSet",
    "Finding",
    "Followed",
    "GoalComparison",
    "GoalConflict",
    "GoalResult",
    "GoalSet",
    "Grade",
    "GuidelineSource",
    "HotRegion",
    "Identity",
    "Image",
    "Isodose",
    "Jaws",
    "Metric",
    "MetricKind",
    "Objective",
    "ObjectiveKind",
    "Objectives",
    "Opponent",
    "Outcome",
    "Plan",
    "PlanFacts",
    "PlanScore",
    "Planned",
    "PlanningFacts",
    "PlanningState",
    "PlanningStory",
    "PredictedBand",
    "PredictedDose",
    "PredictedJudgement",
    "Prediction",
    "PrescribedTarget",
    "PriorStated",
    "ProtectMore",
    "PushCoverage",
    "Received",
    "ReferenceStart",
    "Refusal",
    "RemoveHotSpot",
    "Revision",
    "SecondCheck",
    "Severity",
    "Shown",
    "SourceObject",
    "Sphere",
    "Standing",
    "SteerableTps",
    "StoryChange",
    "StoryCurve",
    "StoryGoal",
    "StoryStage",
    "StoryStep",
    "Structure",
    "StructureKind",
    "TakeTrade",
    "TargetDifference",
    "TargetIndices",
    "TradeOff",
    "TreatmentPlanningSystem",
    "Undo",
    "Working",
]
