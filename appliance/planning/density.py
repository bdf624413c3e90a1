"""Hounsfield units to mass density and relative electron density, by a table of the scanner with a source."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.contracts import DensityOverride, Image, Structure
from appliance.errors import ModelError
from engines.density import electron_from_mass, mass_from_electron
from engines.grid import VoxelSet
from engines.photon.dose import Medium

TABLES = Path(__file__).resolve().parents[2] / "models" / "density"
Quantity = Literal["mass_density", "electron_density"]
AIR_RELATIVE = 0.01
"""Density below which a voxel is air, relative to water (chosen: eight times that of air)."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Segment(_Part):
    """offset + slope * HU for from_hu <= HU <= to_hu, whole HU."""

    from_hu: int
    to_hu: int
    offset: float
    slope: float


class Metal(_Part):
    """What a voxel of more than above_hu counts as: a scanner's scale ends before metal does."""

    name: str = Field(min_length=1)
    above_hu: float
    density: float = Field(gt=0)


class DensityTable(_Part):
    """HU of one scanner to `quantity`, relative to water (g/cm3 of mass, as water has 1 g/cm3): by points (HU, density)
    with straight lines between, or by segments with a formula each. HU beyond the table's ends keep the end's density
    (rule 'keep'); above metal.above_hu they count as that metal (rule 'metal'). valid_hu: what the source vouches
    for."""

    format: Literal["couchside-density-1"]
    name: str = Field(min_length=1)
    quantity: Quantity
    scanner: str = Field(min_length=1)
    source: str = Field(min_length=1)
    valid_hu: tuple[float, float]
    points: tuple[tuple[float, float], ...] = ()
    segments: tuple[Segment, ...] = ()
    beyond: Literal["keep", "metal"]
    metal: Metal | None = None

    @model_validator(mode="after")
    def _possible(self) -> DensityTable:
        if bool(self.points) == bool(self.segments):
            raise ValueError("it needs either points or segments")
        hu = [point[0] for point in self.points]
        if self.points and (len(hu) < 2 or any(b <= a for a, b in pairwise(hu))):
            raise ValueError("HU must grow")
        if any(one.to_hu + 1 != two.from_hu for one, two in pairwise(self.segments)) or any(
            one.from_hu > one.to_hu for one in self.segments
        ):
            raise ValueError("segments must follow each other without a gap")
        if self.valid_hu[0] >= self.valid_hu[1]:
            raise ValueError("valid_hu must be [smallest, largest]")
        if (self.beyond == "metal") != (self.metal is not None):
            raise ValueError("the rule 'metal' needs a metal, and a metal that rule")
        if float(self._of(np.arange(self.lowest_hu, self.highest_hu + 1)).min()) < 0:
            raise ValueError("densities must not be negative")
        return self

    @property
    def lowest_hu(self) -> int:
        return self.segments[0].from_hu if self.segments else int(np.floor(self.points[0][0]))

    @property
    def highest_hu(self) -> int:
        return self.segments[-1].to_hu if self.segments else int(np.ceil(self.points[-1][0]))

    def _of(self, hu: NDArray[np.integer]) -> NDArray[np.float64]:
        """Density of whole HU, which grow, by the table alone."""
        if self.points:
            table = np.array(self.points)
            made = np.interp(hu, table[:, 0], table[:, 1])
        else:
            kept = np.clip(hu, self.lowest_hu, self.highest_hu)
            which = np.searchsorted([segment.from_hu for segment in self.segments], kept, side="right") - 1
            offset = np.array([segment.offset for segment in self.segments])[which]
            made = offset + np.array([segment.slope for segment in self.segments])[which] * kept
        if self.metal is not None:
            made = np.where(hu > self.metal.above_hu, self.metal.density, made)
        return np.asarray(made, np.float64)

    def density(self, hu: NDArray[np.integer], quantity: Quantity | None = None) -> NDArray[np.float32]:
        """Relative to water, same shape as hu, float32: the table's own quantity, or the one asked for."""
        lowest, highest = int(hu.min(initial=0)), int(hu.max(initial=0))
        every = self._of(np.arange(lowest, highest + 1))
        if quantity not in (None, self.quantity):
            every = electron_from_mass(every) if quantity == "electron_density" else mass_from_electron(every)
        return np.asarray(every.astype(np.float32)[hu.astype(np.int32) - lowest], np.float32)


@lru_cache(maxsize=8)
def load_density(name: str) -> DensityTable:
    """The density table of that name (or a path to one). Raises ModelError naming what is wrong."""
    path = Path(name) if name.endswith(".toml") else TABLES / f"{name}.toml"
    try:
        return DensityTable.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        known = ", ".join(sorted(shipped.stem for shipped in TABLES.glob("*.toml")))
        raise ModelError(f"there is no density table '{name}' (known: {known})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"density table '{name}' cannot be used ({key}{': ' if key else ''}{first['msg']})") from error
    except ValueError as error:
        raise ModelError(f"density table '{name}' cannot be used ({error})") from error


Overrides = Sequence[tuple[VoxelSet, DensityOverride]]
"""Structures with a density of their own; later ones win where they meet."""


def medium(
    image: Image,
    external: VoxelSet | None,
    table: DensityTable,
    supports: tuple[VoxelSet, ...] = (),
    *,
    overrides: Overrides = (),
    quantity: Quantity = "electron_density",
) -> Medium:
    """Density for ray tracing, relative to water: electron density for the pencil beam, mass density for the
    superposition. What lies outside the patient's outline (and outside support structures such as the couch top, and
    structures with a density of their own) is empty; voxels on an outline count with their part inside. Without an
    outline the image counts whole."""
    density = table.density(image.hu, quantity)
    flat = density.reshape(-1)
    for voxels, override in overrides:
        own = override_density(override, quantity)
        flat[voxels.index] += (np.float32(own) - flat[voxels.index]) * voxels.fraction
    if external is not None:
        inside = external.dense(image.grid.shape)
        covered = inside.reshape(-1)
        for matter in (*supports, *(voxels for voxels, _ in overrides)):
            covered[matter.index] = np.maximum(covered[matter.index], matter.fraction)
        density *= inside
    return Medium(image.grid, np.ascontiguousarray(density, np.float32))


def override_density(override: DensityOverride, quantity: Quantity) -> float:
    """The quantity asked for, relative to water: as stated, or from the other one."""
    mass, electron = override.relative_mass_density, override.relative_electron_density
    if quantity == "mass_density":
        return mass if mass is not None else float(mass_from_electron(np.array(electron)))
    return electron if electron is not None else float(electron_from_mass(np.array(mass)))


def overrides_of(
    structures: Sequence[Structure], by_name: dict[str, float] | None = None
) -> tuple[tuple[VoxelSet, DensityOverride], ...]:
    """Structures whose density is not the CT's. by_name: mass density relative to water by structure name (as received
    or TG-263); it stands above what the structure set states."""
    named = {name.casefold(): density for name, density in (by_name or {}).items()}
    found = []
    for structure in structures:
        stated = next((named[n] for n in (structure.name.casefold(), structure.tg263.casefold()) if n in named), None)
        override = structure.density if stated is None else DensityOverride(relative_mass_density=stated)
        if override is not None and not structure.voxels.empty:
            found.append((structure.voxels, override))
    return tuple(found)


def beyond_notes(image: Image, external: VoxelSet | None, table: DensityTable) -> tuple[str, ...]:
    """Sentences on voxels inside the patient whose HU the table's source does not vouch for, and what they count as.
    Air below the table's range is nothing to speak of."""
    hu = image.hu.reshape(-1) if external is None else image.hu.reshape(-1)[external.index]
    low, high = table.valid_hu
    notes = []
    for beyond, which in ((hu < low, f"below {low:g}"), (hu > high, f"above {high:g}")):
        counted = table.density(hu[beyond])
        if not counted.size or float(counted.max()) < AIR_RELATIVE:
            continue
        metal = "" if table.metal is None else f", above {table.metal.above_hu:g} HU as {table.metal.name}"
        notes.append(
            f"{counted.size * image.grid.voxel_volume_cc:.1f} cc of the patient have {which} HU, which density table "
            f"{table.name} does not vouch for; they count with {float(counted.min()):.2f} to "
            f"{float(counted.max()):.2f} of water's density{metal}"
        )
    return tuple(notes)
