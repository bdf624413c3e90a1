"""What one training run needs to know: one TOML file, frozen. An unknown key refuses to start.

models/organs/train.toml is the run of the shipped weights, with every key and what it means."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import ConfigError

from .data import FIRST_VALIDATION


class RunConfig(BaseModel):
    """cache: folder of data.py. out: folder of what the run writes. minutes: of training, by the clock; steps: instead
    of minutes, 0: minutes. watched: training patients that are left out and looked at on the way. every_minutes:
    between checkpoints. batch: patches a step. rate: largest, of the optimisers. decay: of the convolutions.
    mean_decay: of the running mean of the weights. muon: the optimiser of convolutions, otherwise AdamW."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: Path
    out: Path
    seed: int = 1
    minutes: float = Field(default=85.0, gt=0)
    steps: int = Field(default=0, ge=0)
    every_minutes: float = Field(default=10.0, gt=0)
    watched: tuple[int, ...] = ()
    threads: int = Field(default=1, ge=1)
    batch: int = Field(default=2, ge=1)
    rate: float = Field(default=2e-3, gt=0)
    decay: float = Field(default=0.05, ge=0)
    muon: bool = True
    mean_decay: float = Field(default=0.998, ge=0, lt=1)
    channels: tuple[int, ...] = (32, 64, 96)
    head: int = Field(default=16, ge=1)

    @staticmethod
    def load(path: Path) -> RunConfig:
        """Raises ConfigError naming the key and what is wrong with it."""
        try:
            config = RunConfig.model_validate(tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML ({error})") from error
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{path}: key '{key}': {first['msg']}") from error
        if config.watched and max(config.watched) >= FIRST_VALIDATION:
            raise ConfigError(
                f"{path}: key 'watched': patient {max(config.watched)} is of the validation set; name training patients"
            )
        return config

    @property
    def decisive(self) -> dict[str, Any]:
        """What a state can only go on with; how long, where and how it is looked at may change."""
        return self.model_dump(mode="json", include={"seed", "watched", "batch", "muon", "channels", "head"})
