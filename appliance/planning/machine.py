"""Machine files: what the treatment machine can do. Read from models/machines/*.toml, refused if impossible."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.errors import ModelError

MACHINES = Path(__file__).resolve().parents[2] / "models" / "machines"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LeafBlock(_Part):
    from_mm: float
    width_mm: float = Field(gt=0)
    count: int = Field(ge=1)


class Mlc(_Part):
    """Multileaf collimator along IEC X; positions at the isocentre plane."""

    boundary_blocks: tuple[LeafBlock, ...] = Field(min_length=1)
    position_min_mm: float
    position_max_mm: float
    bank_span_max_mm: float = Field(gt=0)
    minimum_gap_mm: float = Field(ge=0)
    interdigitation: bool
    leaf_speed_mm_s: float = Field(gt=0)

    @property
    def boundaries_mm(self) -> NDArray[np.float64]:
        """Leaf borders along IEC Y, pairs + 1 values."""
        starts = [b.from_mm + b.width_mm * i for b in self.boundary_blocks for i in range(b.count)]
        final = self.boundary_blocks[-1]
        return np.array([*starts, final.from_mm + final.width_mm * final.count])


class JawRange(_Part):
    x1_mm: tuple[float, float]
    x2_mm: tuple[float, float]
    y1_mm: tuple[float, float]
    y2_mm: tuple[float, float]
    minimum_opening_mm: float = Field(ge=0)
    tracking: bool


class Gantry(_Part):
    """range_deg: IEC angles between which the gantry turns, written without the wrap (-180..180 for a C-arm that stops
    at 180 from either side)."""

    speed_deg_s: float = Field(gt=0)
    acceleration_deg_s2: float = Field(gt=0)
    range_deg: tuple[float, float]


class DoseRate(_Part):
    """minimum_mu_min: the slowest dose rate while the beam is on. mu_per_deg: least and most while the gantry turns."""

    minimum_mu_min: float = Field(ge=0)
    maximum_mu_min: float = Field(gt=0)
    mu_per_deg: tuple[float, float]
    minimum_segment_mu: float = Field(ge=0)
    maximum_beam_mu: float = Field(gt=0)


class Machine(_Part):
    format: Literal["couchside-machine-1"]
    name: str
    title: str
    treatment_machine: str = Field(max_length=16)
    sad_mm: float = Field(gt=500, lt=2000)
    energy_mv: float = Field(gt=0)
    fluence_mode: Literal["STANDARD", "FFF"]
    mlc: Mlc
    jaws: JawRange
    gantry: Gantry
    dose_rate: DoseRate
    sources: dict[str, str]

    @model_validator(mode="after")
    def _possible(self) -> Machine:
        borders = self.mlc.boundaries_mm
        if not np.all(np.diff(borders) > 0):
            raise ValueError("leaf borders must grow: the blocks of mlc.boundary_blocks overlap or leave a gap")
        for block, following in pairwise(self.mlc.boundary_blocks):
            if abs(block.from_mm + block.width_mm * block.count - following.from_mm) > 1e-6:
                raise ValueError("mlc.boundary_blocks must follow each other without a gap")
        if self.mlc.position_min_mm >= self.mlc.position_max_mm:
            raise ValueError("mlc.position_min_mm must lie below mlc.position_max_mm")
        for name in ("x1_mm", "x2_mm", "y1_mm", "y2_mm"):
            low, high = getattr(self.jaws, name)
            if low >= high:
                raise ValueError(f"jaws.{name} must be [smallest, largest]")
        return self


@lru_cache(maxsize=8)
def load_machine(name: str) -> Machine:
    """The machine file of that name (or a path to one). Raises ModelError naming what is wrong."""
    path = Path(name) if name.endswith(".toml") else MACHINES / f"{name}.toml"
    try:
        return Machine.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in MACHINES.glob("*.toml")))
        raise ModelError(f"there is no machine file '{name}' (known: {known})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"machine file {path.name} is not valid TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"machine file {path.name}: {key}{': ' if key else ''}{first['msg']}") from error
