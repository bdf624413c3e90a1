"""How intricate a plan is to deliver, and whether the gantry keeps clear of patient and couch."""

from appliance.evaluation.deliverability.assess import assess_deliverability
from appliance.evaluation.deliverability.peers import peers_among

__all__ = ["assess_deliverability", "peers_among"]
