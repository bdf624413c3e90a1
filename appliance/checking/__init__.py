"""Independent checks of a plan and its dose: the second calculation compared, and plan-integrity checks one by one."""

from appliance.checking import checks
from appliance.checking.compare import compare_doses, unavailable
from appliance.checking.material import Material, Objects
from appliance.checking.registry import CHECKS, FAMILIES, Check
from appliance.contracts import Finding

__all__ = ["CHECKS", "Check", "Material", "Objects", "checks", "compare_doses", "run_checks", "unavailable"]


def run_checks(material: Material) -> tuple[Finding, ...]:
    """Every check of the list, by families, within one in order of definition."""
    ordered = sorted(CHECKS, key=lambda check: FAMILIES.index(check.id.split(".")[0]))
    return tuple(check.finding(material) for check in ordered)
