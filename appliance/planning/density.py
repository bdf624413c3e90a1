"""Hounsfield units to relative electron density, by a table with a source."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from appliance.contracts import Image
from appliance.errors import ModelError
from engines.grid import VoxelSet
from engines.photon.dose import Medium

TABLES = Path(__file__).resolve().parents[2] / "models" / "density"


class DensityTable(BaseModel):
    """points: (HU, electron density relative to water), HU growing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["couchside-density-1"]
    name: str
    source: str
    valid_hu: tuple[float, float]
    points: tuple[tuple[float, float], ...]

    def density(self, hu: NDArray[np.integer]) -> NDArray[np.float32]:
        """Same shape as hu, float32; HU beyond the table's ends keep the end's density."""
        table = np.array(self.points)
        lowest, highest = int(hu.min(initial=0)), int(hu.max(initial=0))
        every_hu = np.interp(np.arange(lowest, highest + 1), table[:, 0], table[:, 1]).astype(np.float32)
        return np.asarray(every_hu[hu.astype(np.int32) - lowest], np.float32)


@lru_cache(maxsize=4)
def load_density(name: str) -> DensityTable:
    path = Path(name) if name.endswith(".toml") else TABLES / f"{name}.toml"
    try:
        table = DensityTable.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        known = ", ".join(sorted(shipped.stem for shipped in TABLES.glob("*.toml")))
        raise ModelError(f"there is no density table '{name}' (known: {known})") from error
    except ValueError as error:
        raise ModelError(f"density table '{name}' cannot be used ({error})") from error
    hu = [point[0] for point in table.points]
    if len(hu) < 2 or any(b <= a for a, b in pairwise(hu)) or min(p[1] for p in table.points) < 0:
        raise ModelError(f"density table '{name}': HU must grow and densities must not be negative")
    return table


def medium(image: Image, external: VoxelSet | None, table: DensityTable, supports: tuple[VoxelSet, ...] = ()) -> Medium:
    """Density for ray tracing: what lies outside the patient's outline (and outside support structures such as the
    couch top) is empty; voxels on the outline count with their part inside. Without an outline the image counts whole.
    """
    density = table.density(image.hu)
    if external is not None:
        inside = external.dense(image.grid.shape)
        for support in supports:
            flat = inside.reshape(-1)
            flat[support.index] = np.maximum(flat[support.index], support.fraction)
        density = density * inside
    return Medium(image.grid, np.ascontiguousarray(density, np.float32))
