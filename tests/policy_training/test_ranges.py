"""What a training saw, played again: every observation of its tasks is in range, and another kind of case is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from appliance.execution.policies.in_range import load_policy_range, range_bytes
from models.policy.config import CasesConfig, RolloutsConfig, TrainConfig
from models.policy.ranges import seen

from .small import TERMS, cache_in, ignorant_network, tasks


def test_what_its_tasks_show_is_in_range_and_a_weight_beyond_them_is_not(tmp_path):
    weights = ignorant_network()
    config = TrainConfig(
        out=tmp_path, cases=CasesConfig(cache=cache_in(tmp_path)), terms=TERMS,
        rollouts=RolloutsConfig(backend="in_process"),
    )  # fmt: skip
    config = config.model_copy(update={"tasks": config.tasks.model_copy(update={"teacher_calls": 6})})
    rows = seen(config, tasks(3), weights)
    assert 3 <= len(rows) <= 3 * TERMS.calls
    digest = hashlib.sha256(weights).hexdigest()
    (tmp_path / "range.json").write_bytes(range_bytes(rows, digest))
    known = load_policy_range(tmp_path / "range.json", digest)
    assert [known.reason_against(one) for one in rows] == [""] * len(rows)
    beyond = replace(rows[0], tokens=rows[0].tokens + 10)
    assert known.reason_against(beyond).startswith("outside what its training saw")
