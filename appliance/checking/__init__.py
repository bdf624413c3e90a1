"""Independent checks of a plan and its dose: the second calculation compared, and plan-integrity checks one by one."""

from appliance.checking.compare import compare_doses, unavailable

__all__ = ["compare_doses", "unavailable"]
