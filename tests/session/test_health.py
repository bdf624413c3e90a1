"""What the doctor says of guidelines, preference and the network: what is altered or due is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.approval import IdentityStore
from appliance.audit import AuditLog
from appliance.config import Config, EvaluationConfig, NodeConfig, PlanningConfig, PredictionConfig
from appliance.errors import ModelError
from appliance.evaluation.preference import fit_model
from appliance.evaluation.preference.store import PreferenceStore
from appliance.health import CheckResult, Status, run_checks
from appliance.prediction import Predictor
from appliance.session_health import EVALUATION_CHECKS, WATCH_AFTER
from appliance.session_policy import steering_of
from appliance.session_record import TRANSITION

from ..evaluation.preference.simulated import SITES, clinic, draw_plan

NETWORKS = ("prediction", "policy")
"""What a release may be without: told as degraded then, which other tests look at."""
PASSPHRASE = "a long enough passphrase"


def checked(store: Path, network: Path | None = None) -> dict[str, CheckResult]:
    config = Config(node=NodeConfig(store=store), evaluation=EvaluationConfig(segmentation=network))
    return {check.key: check for check in run_checks(config, checks=EVALUATION_CHECKS)}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """With a preference model that a registered person activated."""
    random = np.random.default_rng(5)
    decided = [p.decide(draw_plan(random, list(SITES)[i % 3])) for p in clinic(random, 2) for i in range(40)]
    kept, identities = PreferenceStore(tmp_path / "preference"), IdentityStore(tmp_path / "identities", scrypt_n=2**10)
    kept.record(decided, "test")
    digest = kept.propose(fit_model(decided, made_by="test", previous=None), "test")
    identities.create("Dr Chief", "physician", PASSPHRASE)
    statement = f"activate preference model {digest}"
    _, signature = identities.endorse("Dr Chief", PASSPHRASE, statement)
    signed = {"statement": statement, "signature": signature}
    kept.activate(digest, "Dr Chief (physician)", despite="a test", endorsement=dict(signed))
    return tmp_path


def test_an_empty_store_has_what_ships_and_predicts_nothing(tmp_path: Path) -> None:
    found = checked(tmp_path / "store")
    assert {check.status for key, check in found.items() if key not in NETWORKS} == {Status.OK}
    assert "quantec 1.0.0" in found["guidelines"].sentence
    assert found["preference"].detail == {"active": ""}
    assert not (tmp_path / "store").exists()


def test_a_dose_network_without_what_belongs_to_it_is_told(tmp_path: Path) -> None:
    try:
        expected = Status.OK, Predictor().check()
    except ModelError as error:
        expected = Status.DEGRADED, error.sentence
    found = checked(tmp_path)["prediction"]
    assert (found.status, found.detail.get("network", expected[1])) == expected
    assert found.status is Status.OK or expected[1] in found.sentence


def test_a_prediction_that_is_switched_off_is_no_fault(tmp_path: Path) -> None:
    config = Config(node=NodeConfig(store=tmp_path), prediction=PredictionConfig(enabled=False))
    (found,) = run_checks(config, checks=[check for check in EVALUATION_CHECKS if check.key == "prediction"])
    assert found.status is Status.OK
    assert "switched off" in found.sentence


def test_a_policy_that_cannot_be_used_is_told_with_its_reason(tmp_path: Path) -> None:
    config = Config(node=NodeConfig(store=tmp_path), planning=PlanningConfig(policy="learned"))
    steering = steering_of(config)
    (found,) = run_checks(config, checks=[check for check in EVALUATION_CHECKS if check.key == "policy"])
    assert found.status is (Status.OK if steering.sha256 else Status.DEGRADED)
    assert steering.sha256 or steering.fallback() in found.sentence


@pytest.mark.parametrize("policy", ["rules", "template"])
def test_a_policy_that_nobody_asked_for_is_no_fault(tmp_path: Path, policy: str) -> None:
    config = Config(node=NodeConfig(store=tmp_path), planning=PlanningConfig.model_validate({"policy": policy}))
    (found,) = run_checks(config, checks=[check for check in EVALUATION_CHECKS if check.key == "policy"])
    assert found.status is Status.OK
    assert f"'{policy}'" in found.sentence


def test_a_check_is_due_after_enough_decisions(store: Path) -> None:
    assert checked(store)["preference"].status is Status.OK
    with AuditLog.open(store / "audit.sqlite") as audit:
        for number in range(WATCH_AFTER):
            audit.append(TRANSITION, session_id=f"s-{number}", data={"event": "reject"})
    found = checked(store)["preference"]
    assert (found.status, found.detail["decisions_since"]) == (Status.DEGRADED, WATCH_AFTER)
    assert "couchside preference check" in found.sentence
    PreferenceStore(store / "preference").watch("test")
    assert checked(store)["preference"].detail["decisions_since"] == 0


def test_an_altered_model_is_told(store: Path) -> None:
    digest = PreferenceStore(store / "preference").active_digest()
    file = store / "preference" / f"{digest}.json"
    file.write_bytes(file.read_bytes().replace(b"0.", b"1.", 1))
    found = checked(store)["preference"]
    assert found.status is Status.DEGRADED
    assert "is not told" in found.sentence


def test_a_network_that_is_not_there_must_be_repaired(tmp_path: Path) -> None:
    found = checked(tmp_path, tmp_path / "network.toml")["network"]
    assert found.status is Status.FAILED
    assert "network.toml" in found.sentence
