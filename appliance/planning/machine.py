"""Machine files: what the treatment machine can do. Read from models/machines/*.toml, refused if impossible."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from appliance.errors import ModelError
from appliance.planning.machine_parts import Axis, Clearance, DoseRate, Gantry, JawRange, Mlc, Part

MACHINES = Path(__file__).resolve().parents[2] / "models" / "machines"
UNCONFIRMED = "unconfirmed"
"""A source with this word names a figure that nobody has checked against a document or a machine."""
LABELS = frozenset({"format", "name", "title", "treatment_machine", "sources"})
"""Keys that are names, not figures."""
SECONDS_A_MINUTE = 60.0
Technique = Literal["step_and_shoot", "sliding_window", "vmat"]


class Machine(Part):
    """One treatment machine with one beam quality. techniques: what it delivers. sources: for each figure, by its
    dotted key or its section, where it comes from; a file with a figure without source, or a source without figure, is
    refused. clearance: None where nobody has measured the gantry; collisions are then not looked for, which is told."""

    format: Literal["couchside-machine-1"]
    name: str = Field(min_length=1)
    title: str = Field(min_length=1)
    treatment_machine: str = Field(min_length=1, max_length=16)
    sad_mm: float = Field(gt=500, lt=2000)
    energy_mv: float = Field(gt=0)
    fluence_mode: Literal["STANDARD", "FFF"]
    techniques: tuple[Technique, ...] = Field(min_length=1)
    mlc: Mlc
    jaws: JawRange
    gantry: Gantry
    collimator: Axis
    couch: Axis
    dose_rate: DoseRate
    clearance: Clearance | None = None
    sources: dict[str, str]

    @model_validator(mode="after")
    def _possible(self) -> Machine:
        slowest_mu_deg = self.dose_rate.minimum_mu_min / SECONDS_A_MINUTE / self.gantry.speed_deg_s
        if slowest_mu_deg > self.dose_rate.mu_per_deg[1]:
            raise ValueError("dose_rate.minimum_mu_min gives more MU per degree than dose_rate.mu_per_deg allows")
        across = "Y" if self.mlc.leaf_axis == "X" else "X"
        low, high = getattr(self.jaws, f"{across.lower()}1_mm")[0], getattr(self.jaws, f"{across.lower()}2_mm")[1]
        if not (low < self.mlc.boundaries_mm[-1] and high > self.mlc.boundaries_mm[0]):
            raise ValueError(f"the jaws along {across} never open a leaf pair of mlc.boundary_blocks")
        figures = [figure for figure, _ in self.figures()]
        for figure in figures:
            if not self.source_of(figure).strip():
                raise ValueError(f"{figure} has no entry in [sources]")
        for key in self.sources:
            if not any(figure == key or figure.startswith(f"{key}.") for figure in figures):
                raise ValueError(f"[sources] names '{key}', which is no figure of the file")
        return self

    def figures(self) -> Iterator[tuple[str, object]]:
        """(dotted key, value) of every figure that the file states."""
        for key in type(self).model_fields:
            if key in LABELS:
                continue
            value = getattr(self, key)
            if value is None:
                continue
            if not isinstance(value, Part):
                yield key, value
                continue
            for inner in type(value).model_fields:
                if inner in value.model_fields_set:
                    yield f"{key}.{inner}", getattr(value, inner)

    def source_of(self, figure: str) -> str:
        """The source of a figure by its dotted key, or that of its section; '' without one."""
        return self.sources.get(figure, self.sources.get(figure.partition(".")[0], ""))

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Dotted keys of the figures that nobody has confirmed."""
        return tuple(figure for figure, _ in self.figures() if UNCONFIRMED in self.source_of(figure))

    @property
    def jaw_axes(self) -> Literal["XY", "X", "Y", ""]:
        """Axes with a pair of jaws, as a beam states them."""
        if len(self.jaws.axes) == 2:
            return "XY"
        return self.jaws.axes[0] if self.jaws.axes else ""


def machine_names() -> tuple[str, ...]:
    """Names of the machine files that are shipped."""
    return tuple(sorted(path.stem for path in MACHINES.glob("*.toml")))


@lru_cache(maxsize=8)
def load_machine(name: str) -> Machine:
    """The machine file of that name (or a path to one). Raises ModelError naming what is wrong."""
    path = Path(name) if name.endswith(".toml") else MACHINES / f"{name}.toml"
    try:
        return Machine.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ModelError(f"there is no machine file '{name}' (known: {', '.join(machine_names())})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"machine file {path.name} is not valid TOML ({error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"machine file {path.name}: {key}{': ' if key else ''}{first['msg']}") from error
