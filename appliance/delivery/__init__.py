"""What was delivered: fractions added up on one anatomy, and the goals of those that are left."""

from appliance.delivery.accumulate import Accumulation, Planned
from appliance.delivery.remaining import remaining_goals

__all__ = ["Accumulation", "Planned", "remaining_goals"]
