"""What a learned policy was trained on, written and read back, and what is outside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ModelError
from appliance.execution.policies.in_range import (
    MARGIN,
    NARROWEST,
    PolicyRange,
    load_policy_range,
    range_bytes,
)
from appliance.execution.steering.observation import CONTEXT_FEATURES, TOKEN_FEATURES
from appliance.execution.steering.policy import Observation

SHA = "a" * 64


def observation(levers: int, token: float = 0.5, context: float = 0.5) -> Observation:
    tokens = np.full((levers, len(TOKEN_FEATURES)), token, np.float32)
    return Observation(
        tokens, np.full(len(CONTEXT_FEATURES), context, np.float32), np.ones((levers, 6), np.bool_)
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "range.json"
    found.write_bytes(range_bytes([observation(4, 0.0, 0.0), observation(9, 1.0, 1.0)], SHA))
    return found


def changed(path: Path, **update: object) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | update), "utf-8")
    return path


def test_what_it_was_trained_on_is_in_range(path):
    known = load_policy_range(path, SHA)
    for seen in (observation(4, 0.0, 0.0), observation(9, 1.0, 1.0), observation(6, 0.3, 0.9)):
        assert known.reason_against(seen) == ""


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.integers(4, 9))
def test_everything_between_is_in_range(token, context, levers):
    bounds = np.tile([0.0, 1.0], (len(TOKEN_FEATURES), 1)), np.tile([0.0, 1.0], (len(CONTEXT_FEATURES), 1))
    assert PolicyRange((4, 9), *bounds).reason_against(observation(levers, token, context)) == ""


@pytest.mark.parametrize("levers", [1, 3, 10, 300])
def test_another_number_of_objectives_is_named(path, levers):
    said = load_policy_range(path, SHA).reason_against(observation(levers))
    assert said == f"the case has {levers} objectives, and its training had 4 to 9"


def test_a_feature_beyond_its_margin_is_named_with_its_value(path):
    known, seen = load_policy_range(path, SHA), observation(5)
    limit = TOKEN_FEATURES.index("limit")
    seen.tokens[2, limit] = 1.0 + MARGIN - 0.01
    assert known.reason_against(seen) == ""
    seen.tokens[2, limit] = 1.0 + MARGIN + 0.01
    assert known.reason_against(seen) == "outside what its training saw: limit 1.11 (-0.1 to 1.1)"


def test_many_features_are_counted(path):
    said = load_policy_range(path, SHA).reason_against(observation(5, 7.0))
    assert said.endswith(f"and {len(TOKEN_FEATURES) - 2} more")


def test_no_number_is_out_of_range(path):
    seen = observation(5)
    seen.context[1] = np.nan
    assert "calls left nan" in load_policy_range(path, SHA).reason_against(seen)


def test_a_feature_that_never_changed_may_differ_a_little(tmp_path):
    path = tmp_path / "range.json"
    path.write_bytes(range_bytes([observation(4)], SHA))
    known = load_policy_range(path, SHA)
    assert known.reason_against(observation(4, 0.5 + 0.9 * NARROWEST)) == ""
    assert known.reason_against(observation(4, 0.5 + 1.1 * NARROWEST)) != ""


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"sha256": "b" * 64}, "belongs to another network"),
        ({"format": "couchside-policy-range-2"}, "belongs to another network or release"),
        ({"levers": [9, 4]}, "low is above its high"),
        ({"context": {}}, "other features than this release"),
        ({"tokens": {"limit": ["low", 1]}}, "not usable"),
        ({"more": 1}, "not usable"),
    ],
)
def test_a_file_that_is_not_right_is_refused(path, update, said):
    with pytest.raises(ModelError, match=said):
        load_policy_range(changed(path, **update), SHA)


def test_a_missing_or_cut_file_is_refused(tmp_path, path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_policy_range(tmp_path / "none.json", SHA)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match="not usable"):
        load_policy_range(path, SHA)


def test_a_training_without_numbers_makes_no_range():
    seen = observation(4)
    with pytest.raises(ModelError, match="no number"):
        range_bytes([replace(seen, context=np.full_like(seen.context, np.inf))], SHA)
    with pytest.raises(ModelError, match="at least one"):
        range_bytes([], SHA)
