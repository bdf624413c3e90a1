"""Check 'networks': is each registered network the registered file, what runs it here, and did that ever run.

Each file is hashed; each ONNX network is opened with the backend that the product will use. Failed where a file is
missing or altered, or no backend can open it. Degraded where the chosen combination of backend and precision was never
executed on this kind of device (neither does the registry know of a run, nor was `couchside engines bench` done here),
or came out too far from the CPU's result. An optional network that is not installed is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from appliance.health.result import Finding, Status
from engines.errors import EngineError
from engines.runtime import Backend, Network, RuntimeOptions, open_network
from engines.runtime.entry import Registered
from engines.runtime.ran import Ran, kind_of
from engines.runtime.registry import Registry

BENCH = "run 'couchside engines bench'"


@dataclass(frozen=True)
class Seen:
    """What is the case with one network."""

    status: Status
    sentence: str
    detail: dict[str, JsonValue]


Options = Callable[[Registered], RuntimeOptions]


def check(registries: Sequence[Registry], options: Options, ran: Sequence[Ran]) -> Finding:
    """options: how the product opens a network; ran: what ran on this machine."""
    seen = {entry.name: _look(registry, entry, options, ran) for registry in registries for entry in registry.entries}
    worst = max((one.status for one in seen.values()), key=lambda status: status.rank)
    # What needs somebody comes first: the list may be long.
    ordered = sorted(seen.values(), key=lambda one: -one.status.rank)
    detail: dict[str, JsonValue] = {name: one.detail for name, one in seen.items()}
    return Finding(worst, f"{'. '.join(one.sentence for one in ordered)}.", detail)


def _look(registry: Registry, entry: Registered, options: Options, ran: Sequence[Ran]) -> Seen:
    path = registry.path(entry.name)
    detail: dict[str, JsonValue] = {"file": entry.file, "sha256": entry.sha256, "hash_ok": False}
    if entry.optional and (path is None or not path.exists()):
        return Seen(Status.OK, f"{entry.name}: not installed, the product does without it", detail)
    try:
        if entry.form != "onnx":
            registry.check(entry.name)
            words = "weights as registered; its ONNX file is made at first use and runs on the CPU"
            return Seen(Status.OK, f"{entry.name}: {words}", {**detail, "hash_ok": True})
        model = registry.verified(entry.name)
        detail["hash_ok"] = True
        network = open_network(model, name=entry.name, options=options(entry))
    except EngineError as error:
        return Seen(Status.FAILED, f"{entry.name}: {error}", detail)
    try:
        return _opened(entry, network, ran, detail)
    finally:
        network.close()


def _opened(entry: Registered, network: Network, ran: Sequence[Ran], detail: dict[str, JsonValue]) -> Seen:
    limit = entry.precision.get(network.precision)
    evidence, good = executed(entry, network, limit, ran)
    detail |= {
        "backend": network.backend.value,
        "precision": network.precision.value,
        "device": network.device,
        "executed": evidence,
        "built_only": built_only(entry),
        "notes": list(network.notes),
    }
    if limit is None:
        words = f"{network.precision} is no precision that the registry allows; {BENCH}"
        return Seen(Status.DEGRADED, f"{entry.name}: {words}", detail)
    how = f"{entry.name}: as registered, {network.backend} in {network.precision} on {network.device}, {evidence}"
    if built_only(entry):
        how += f" (built and never executed anywhere: {built_only(entry)})"
    return Seen(Status.OK if good else Status.DEGRADED, how, detail)


def built_only(entry: Registered) -> str:
    """Combinations that could only be built before release, for want of the hardware; empty where there is none."""
    return ", ".join(f"{one.backend} in {one.precision} for {one.device}" for one in entry.built_only)


def executed(entry: Registered, network: Network, limit: float | None, ran: Sequence[Ran]) -> tuple[str, bool]:
    """(what is known of runs of this combination, whether that is enough to rely on it)."""
    key = (entry.sha256, network.backend, network.precision, kind_of(network.device))
    here = [one for one in ran if one.key == key]
    if here and limit is not None and here[-1].difference > limit:
        return f"but differs by {here[-1].difference:.2g} from the CPU's result ({limit:.2g} allowed); {BENCH}", False
    if here:
        apart = "" if network.backend is Backend.ONNX_CPU else f", {here[-1].difference:.1g} from the CPU's result"
        return f"ran here on {here[-1].day}{apart}", True
    device = network.device.lower()
    for tried in entry.executed:
        same = (tried.backend, tried.precision) == (network.backend, network.precision)
        if same and tried.device.lower() in device:
            return "executed on this kind of device before release", True
    return f"built, never executed here: {BENCH}", False
