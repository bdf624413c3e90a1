"""Options that several commands share, and the configuration they lead to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from appliance.config import Config
from appliance.errors import ConfigError
from appliance.planning import Algorithm

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration (TOML); without it, the defaults.")
]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", metavar="DIR", help="Store to use instead of the configured one.")
]


class DeviceChoice(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Device = Annotated[
    DeviceChoice | None,
    typer.Option("--device", metavar="DEVICE", help="Where dose is computed: auto, cpu or cuda (a GPU)."),
]
Budget = Annotated[
    float | None,
    typer.Option("--budget-s", metavar="S", min=0, help="Seconds of planning at most; 0: as long as it takes."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="As 'couchside sessions' lists it.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log; without the patient's name.")
]

AlgorithmName = Annotated[
    str,
    typer.Option("--algorithm", metavar="NAME", help="pencil_beam or collapsed_cone; otherwise the configured one."),
]


def chosen_algorithm(named: str, configured: Algorithm) -> Algorithm:
    """Raises ConfigError for a name that is none."""
    if not named:
        return configured
    for known in get_args(Algorithm):
        if known == named.replace("-", "_"):
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"there is no algorithm '{named}'; known are {', '.join(get_args(Algorithm))}")


def settings(config: Path | None, store: Path | None = None) -> Config:
    """Raises ConfigError."""
    loaded = Config() if config is None else Config.load(config)
    if store is None:
        return loaded
    return loaded.model_copy(update={"node": loaded.node.model_copy(update={"store": store})})


def with_device(config: Config, device: DeviceChoice | None) -> Config:
    """The configuration with `--device` in the place of its own, where it is given."""
    if device is None:
        return config
    return config.model_copy(update={"planning": config.planning.model_copy(update={"device": device.value})})


def with_budget(config: Config, budget_s: float | None) -> Config:
    """The configuration with `--budget-s` in the place of its own, where it is given."""
    if budget_s is None:
        return config
    return config.model_copy(update={"planning": config.planning.model_copy(update={"budget_s": budget_s})})
