"""Why goals are missed, computed, and what would make them pass."""

from appliance.evaluation.explain.explain import explain

__all__ = ["explain"]
