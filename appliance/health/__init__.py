"""Self-checks of the appliance, one a file, for `couchside doctor` and the console."""

from appliance.health.models import Reader
from appliance.health.result import Check, CheckResult, Status
from appliance.health.runner import CHECKS, run_checks

__all__ = ["CHECKS", "Check", "CheckResult", "Reader", "Status", "run_checks"]
