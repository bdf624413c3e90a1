"""Answers "why this limit?" with passages and their sources: by words, by meaning, and by a goal's own structure and
metric."""

from appliance.evaluation.retrieval.goals import parse_goal
from appliance.evaluation.retrieval.passages import load_passages, shipped_passages
from appliance.evaluation.retrieval.search import Library, open_library, passages_for_goals

__all__ = ["Library", "load_passages", "open_library", "parse_goal", "passages_for_goals", "shipped_passages"]
