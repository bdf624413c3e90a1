"""The virtual planner: operates a TPS behind `contracts.TreatmentPlanningSystem` until the evaluation is satisfied."""

from appliance.execution.guide import Foreseen, Guide, guide_of
from appliance.execution.planner import plan_case

__all__ = ["Foreseen", "Guide", "guide_of", "plan_case"]
