"""How intricate a plan is to deliver, and whether the gantry keeps clear of patient and couch."""

from appliance.evaluation.deliverability.assess import assess_deliverability

__all__ = ["assess_deliverability"]
