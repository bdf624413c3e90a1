"""Which policy steers planning: the learned one where its network is usable, else the rules, with the reason.

Nothing about a policy stops a plan. A network that is not registered, missing, altered or without its range leaves
planning to the rules; `couchside serve` refuses to start with an altered file all the same, as for every network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from appliance.config import Config
from appliance.errors import ModelError
from appliance.execution.policies.falling_back import FallingBack, LeaveToRules
from appliance.execution.policies.in_range import PolicyRange, load_policy_range
from appliance.execution.policies.learned import Array, LearnedPolicy, Run
from appliance.execution.steering.policy import Policy, View
from appliance.registered import shipped
from appliance.session_models import network_bytes, runtime_options
from engines.errors import EngineError
from engines.runtime import Network, RuntimeOptions, open_network
from engines.runtime.registry import Registry

MODEL = "policy"
"""Its name in models/registry.toml."""
OUTPUTS = ("logits", "stop", "value")
THREADS = 1
"""Of the CPU (chosen: the network is small, and the planning system wants the others)."""

_OPENED: dict[tuple[str, RuntimeOptions], Network] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Steering:
    """policy: explores; None: nothing is explored. sha256: of its network, '' where it has none. fallback: asked at the
    end of planning: why another than the configured policy planned, '' where none did."""

    policy: Policy | None
    sha256: str = ""
    fallback: Callable[[], str] = lambda: ""


def steering_of(config: Config, registry: Registry | None = None) -> Steering:
    """registry: where the network is looked up, None for the one that ships. Raises nothing about the network."""
    if config.planning.policy != "learned":
        return Steering(None)
    try:
        return _learned(config, shipped() if registry is None else registry)
    except (ModelError, EngineError) as error:
        reason = str(error.fields["reason"]) if isinstance(error, ModelError) else str(error)
        said = f"the learned policy cannot be used ({reason})"
        return Steering(None, fallback=lambda: said)


def _learned(config: Config, registry: Registry) -> Steering:
    entry = registry.entry(MODEL)
    options = replace(runtime_options(config, entry), threads=THREADS)
    with _LOCK:
        if (entry.sha256, options) not in _OPENED:
            content = network_bytes(registry, entry)
            _OPENED[(entry.sha256, options)] = open_network(content, name=MODEL, options=options)
        network = _OPENED[(entry.sha256, options)]
    known = load_policy_range(registry.folder / Path(entry.file).with_name("range.json"), entry.sha256)
    policy = FallingBack(LearnedPolicy(_run_of(network)), LeaveToRules(), lambda view: _reason(known, view))
    return Steering(policy, entry.sha256, lambda: _said(policy.reason))


def _reason(known: PolicyRange, view: View) -> str:
    return known.reason_against(view.observation)


def _said(reason: str) -> str:
    return f"the learned policy did not plan to its end ({reason})" if reason else ""


def _run_of(network: Network) -> Run:
    """Raises ModelError for a network of other outputs, EngineError where it fails."""

    def run(tokens: Array, present: Array, context: Array, legal: Array) -> tuple[Array, Array, Array]:
        found = network.run({"tokens": tokens, "present": present, "context": context, "legal": legal})
        if missing := [name for name in OUTPUTS if name not in found]:
            raise ModelError(f"the network '{MODEL}' has no output '{missing[0]}'")
        logits, stop, value = (np.asarray(found[name], np.float32) for name in OUTPUTS)
        return logits, stop, value

    return run
