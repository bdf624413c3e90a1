"""Goal sets are TOML files in the words of AAPM TG-263 (`goal_schema`); this module reads them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from appliance.contracts import GoalSet, GuidelineSource
from appliance.contracts.goals import with_digest
from appliance.errors import RefusedGoals
from appliance.evaluation.goal_schema import GoalFile
from appliance.evaluation.tables import read_table


def load_goal_set(path: Path) -> GoalSet:
    """Reads one goal-set file. Raises RefusedGoals naming the file, the key and what is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RefusedGoals(f"{path} cannot be read ({error.strerror}); give the path of a goal-set file") from error
    return parse_goal_set(content, path.name)


def parse_goal_set(content: bytes, name: str) -> GoalSet:
    """The same from the bytes of a file called `name`."""
    file = read_table(GoalFile, content, name, lambda reason: RefusedGoals(f"{reason}; correct the file"))
    goal_set = with_digest(file.goal_set())
    source = goal_set.guideline
    if source is None:
        return goal_set
    told = f"Goals of the guideline package {source.name} {source.version} (signed by {source.signer}; {source.digest})"
    return replace(goal_set, notes=(told, *goal_set.notes))


def with_source(content: bytes, source: GuidelineSource) -> bytes:
    """A goal file's bytes with the package they came from written at their end, for a session to keep."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in asdict(source).items()]
    return content.rstrip() + b"\n\n[from_package]\n" + "\n".join(lines).encode() + b"\n"
