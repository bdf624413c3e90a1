"""Every network that a configuration leads to, those that ship and the clinic's own: checked before a node starts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from appliance.config import Config
from appliance.errors import ModelError
from appliance.health import networks
from appliance.health.result import Check, Finding
from appliance.registered import shipped
from appliance.session_judgement import network_of
from engines.errors import EngineError
from engines.language.encoder import prepared
from engines.runtime import RuntimeOptions
from engines.runtime.contract import ALL_BACKENDS, CPU_BACKENDS
from engines.runtime.entry import Registered
from engines.runtime.folders import cache_folder, engine_cache
from engines.runtime.ran import read_ran, tried_precision
from engines.runtime.registry import SHIPPED, Registry


def registries(config: Config, path: Path = SHIPPED) -> tuple[Registry, ...]:
    """The registry that ships, and one for each segmentation network that is configured and does not ship. Raises
    ModelError."""
    ships = shipped(path)
    known = {entry.name: entry.sha256 for entry in ships.entries}
    found = [ships]
    for file in dict.fromkeys((config.evaluation.segmentation, config.anatomy.segmentation)):
        network = None if file is None else network_of(file)
        if network is None or known.get(network.name) == network.sha256:
            continue
        if network.name in known:
            raise ModelError(f"the segmentation network '{network.name}' has the name of another network; rename it")
        known[network.name] = network.sha256
        found.append(network.registry)
    return tuple(found)


def verify_models(config: Config, path: Path = SHIPPED) -> None:
    """Hashes every registered file. Raises ModelError that names each model, its file, and what to do."""
    problems = [problem for registry in registries(config, path) for _, problem in registry.problems()]
    if problems:
        raise ModelError(". ".join(problems))


def runtime_options(config: Config, entry: Registered | None = None) -> RuntimeOptions:
    """How this configuration opens networks: on the CPU where dose is computed there by order, else on what is here;
    built engines are kept in the cache folder. entry: of the network meant; without it FP32 on any, with it FP16 where
    `couchside engines bench` has found it near enough on this machine, and only on the backends it is for."""
    on_cpu = config.planning.device == "cpu"
    backends = CPU_BACKENDS if on_cpu else ALL_BACKENDS
    if entry is None:
        return RuntimeOptions(backends=backends, cache=engine_cache())
    allowed = tuple(one for one in backends if not entry.backends or one in entry.backends)
    precision = None if on_cpu else tried_precision(entry, read_ran(engine_cache()))
    return RuntimeOptions(allowed, precision, engine_cache())


def network_bytes(registry: Registry, entry: Registered) -> bytes:
    """The ONNX file of a registered network: the file itself, or what is made of registered weights. Raises ModelError
    where it is not the registered one."""
    try:
        if entry.form == "onnx":
            return registry.verified(entry.name)
        registry.check(entry.name)
        path = registry.path(entry.name)
        if path is None:
            raise EngineError(f"the package '{entry.package}' is not installed")
        return prepared(path.parent, cache_folder())
    except EngineError as error:
        raise ModelError(str(error)) from error


def _networks(config: Config) -> Finding:
    """Raises ModelError where the registry, or the file of the clinic's own network, cannot be read."""
    return networks.check(registries(config), partial(runtime_options, config), read_ran(engine_cache()))


NETWORK_CHECK = Check("networks", "Networks", _networks, timeout_s=180.0)
"""Time limit chosen: a first opening may build an engine for a GPU."""
