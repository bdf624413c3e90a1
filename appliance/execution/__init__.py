"""The virtual planner: operates a TPS behind `contracts.TreatmentPlanningSystem` until the evaluation is satisfied."""

from appliance.execution.planner import plan_case

__all__ = ["plan_case"]
