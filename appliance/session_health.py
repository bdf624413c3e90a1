"""What the doctor checks of evaluation, prediction and planning: guidelines, preference, and the networks of dose,
planning and segmentation.

Stages do not know the health checks and these do not know the stages; here they meet.
"""

from __future__ import annotations

from pydantic import JsonValue

from appliance.config import Config
from appliance.errors import CouchsideError
from appliance.evaluation.preference.store import PreferenceStore
from appliance.health import Check, Status
from appliance.health.result import Finding
from appliance.prediction import Predictor
from appliance.session_decisions import decided_since, verify_preference
from appliance.session_guidelines import guideline_store, lost_decisions
from appliance.session_judgement import network_of
from appliance.session_policy import steering_of

WATCH_AFTER = 20
"""Decisions after which the active preference model wants to be held against them again. Chosen: a change of mind is
seen after some 80 to 110 (docs/evaluation/preference.md), so a fifth of that adds little to the wait."""


def _guidelines(config: Config) -> Finding:
    """Every signature and digest anew. Raises RefusedPackage, ApprovalError for what was altered: then no case could be
    assembled."""
    store = config.node.store
    guidelines = guideline_store(store)
    active = guidelines.active()
    names: list[JsonValue] = [f"{one.package.manifest.name} {one.package.manifest.version}" for one in active]
    detail: dict[str, JsonValue] = {"active": names}
    if lost := lost_decisions(store):
        return Finding(Status.FAILED, f"{lost}.", detail)
    if expired := guidelines.expired():
        return Finding(Status.DEGRADED, f"{'. '.join(expired)}.", detail)
    return Finding(Status.OK, f"As signed, and valid today: {', '.join(map(str, names))}.", detail)


def _preference(config: Config) -> Finding:
    """Degraded at worst: a verdict on a plan informs and unlocks nothing."""
    kept = PreferenceStore(config.node.store / "preference")
    try:
        verify_preference(config.node.store)
        model = kept.active()
    except CouchsideError as error:
        return Finding(Status.DEGRADED, f"What physicians would approve is not told: {error.sentence}")
    if model is None:
        return Finding(Status.OK, "No preference model is active, so nothing is predicted.", {"active": ""})
    since, report = kept.last_watch(model.digest)
    waiting = decided_since(config.node.store, since)
    detail: dict[str, JsonValue] = {"active": model.digest, "last_watch_utc": since, "decisions_since": waiting}
    if report is not None and report.warnings:
        return Finding(Status.DEGRADED, f"Of the preference model: {'; '.join(report.warnings)}.", detail)
    if waiting >= WATCH_AFTER:
        due = f"{waiting} decisions were made since the preference model was last held against them"
        return Finding(Status.DEGRADED, f"{due}; run 'couchside preference check'.", detail)
    return Finding(
        Status.OK, f"The preference model is as activated; {waiting} decisions since the last check.", detail
    )


def _network(config: Config) -> Finding:
    """Raises ModelError: a network that was asked for and cannot be used."""
    path = config.evaluation.segmentation
    if path is None:
        return Finding(Status.OK, "No segmentation network is configured.", {"network": ""})
    name = network_of(path).name
    return Finding(
        Status.OK, f"The segmentation network {name} has the weights that its file names.", {"network": name}
    )


def _prediction(config: Config) -> Finding:
    """Degraded at worst: without a prediction, plans are made from the goals. Whether the network's own file is the
    registered one, and what runs it, is the check of the networks."""
    if not config.prediction.enabled:
        return Finding(Status.OK, "Dose prediction is switched off; planning starts from the goals.", {"network": ""})
    try:
        sha256 = Predictor().check()
    except CouchsideError as error:
        return Finding(Status.DEGRADED, f"No dose is predicted, and planning starts from the goals: {error.sentence}.")
    return Finding(Status.OK, "The dose network has its range, calibration and bands.", {"network": sha256})


def _policy(config: Config) -> Finding:
    """Degraded at worst: the rules plan as well. The network is opened as planning opens it, with its range."""
    if config.planning.policy != "learned":
        said = f"No learned policy is asked for; planning.policy is '{config.planning.policy}'."
        return Finding(Status.OK, said, {"network": ""})
    steering = steering_of(config)
    if not steering.sha256:
        return Finding(Status.DEGRADED, f"Plans are steered by the rules: {steering.fallback()}.", {"network": ""})
    return Finding(Status.OK, "The policy network can be opened and has its range.", {"network": steering.sha256})


EVALUATION_CHECKS = (
    Check("guidelines", "Guideline packages", _guidelines, timeout_s=30.0),
    Check("preference", "Preference model", _preference, timeout_s=60.0),
    Check("prediction", "Dose prediction", _prediction, timeout_s=30.0),
    Check("policy", "Planning policy", _policy, timeout_s=30.0),
    Check("network", "Segmentation network", _network, timeout_s=30.0),
)
"""Time limits chosen as those of the other checks; the audit log is read for two of them."""
