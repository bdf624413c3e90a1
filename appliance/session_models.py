"""Every network that a configuration leads to, those that ship and the clinic's own: checked before a node starts."""

from __future__ import annotations

from pathlib import Path

from appliance.config import Config
from appliance.errors import ModelError
from appliance.registered import shipped
from appliance.session_judgement import network_of
from engines.runtime.registry import SHIPPED, Registry


def registries(config: Config, path: Path = SHIPPED) -> tuple[Registry, ...]:
    """The registry that ships, and one for the segmentation network that is configured. Raises ModelError."""
    found = [shipped(path)]
    if config.evaluation.segmentation is not None:
        own = network_of(config.evaluation.segmentation).registry
        if taken := sorted(set(own.names) & set(found[0].names)):
            raise ModelError(f"the segmentation network '{taken[0]}' has the name of a network that ships; rename it")
        found.append(own)
    return tuple(found)


def verify_models(config: Config, path: Path = SHIPPED) -> None:
    """Hashes every registered file. Raises ModelError that names each model, its file, and what to do."""
    problems = [problem for registry in registries(config, path) for _, problem in registry.problems()]
    if problems:
        raise ModelError(". ".join(problems))
