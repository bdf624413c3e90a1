"""Energy-deposition point kernels of monoenergetic photons in water, read from one .npz file.

A photon of energy h*nu, travelling along +z, is forced to interact at the origin of an infinite water phantom
(1 g/cm3). A kernel says which fraction of h*nu is imparted in each region (polar angle bin x radial shell).
Multiplied with TERMA (energy released per mass by interactions other than coherent scattering) it gives dose
(Mackie, Bielajew, Rogers, Battista, Phys Med Biol 33:1, 1988; Ahnesjo, Med Phys 16:577, 1989).

- primary: imparted by the charged particles that the first interaction set in motion, without their bremsstrahlung.
- scatter: everything else (scattered photons of every order, annihilation photons, bremsstrahlung and their electrons).
- escaped: fraction that leaves the outermost shell; primary + scatter + escaped = 1 for each energy.

How the shipped file was made, and how far it is to be trusted: models/kernels/CARD.md.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

FORMAT = "couchside-point-kernels-1"
CONSERVATION = 2e-4
"""How far the fractions of one energy may be from one: float32 sums of some thousand regions (chosen)."""


@dataclass(frozen=True, eq=False)
class PointKernels:
    """Kernels at `energy_mev` (E,), growing. `angle_edges_deg` (A + 1,) from 0 (forward) to 180; `radius_edges_mm`
    (R + 1,) from 0, water of 1 g/cm3. `primary`, `scatter`: fraction of the photon energy imparted in a region,
    (E, A, R). `escaped`: fraction that passes the outermost radius, (E,). `*_error`: one standard deviation of a region
    relative to its value (E, A, R), 0 where nothing was scored. `water_per_cm` (E,): attenuation without coherent
    scattering that the simulation used. `source`: method, seed and histories in one line."""

    energy_mev: NDArray[np.float64]
    angle_edges_deg: NDArray[np.float64]
    radius_edges_mm: NDArray[np.float64]
    primary: NDArray[np.float64]
    scatter: NDArray[np.float64]
    escaped: NDArray[np.float64]
    primary_error: NDArray[np.float64]
    scatter_error: NDArray[np.float64]
    water_per_cm: NDArray[np.float64]
    source: str

    def primary_cumulative(self) -> NDArray[np.float64]:
        """Primary fraction within each radius edge for each angle bin, (E, A, R + 1), zero at the origin."""
        return _cumulative(self.primary)

    def scatter_cumulative(self) -> NDArray[np.float64]:
        """Scatter fraction within each radius edge for each angle bin, (E, A, R + 1), zero at the origin."""
        return _cumulative(self.scatter)

    def mix(self, terma_weights: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The (primary, scatter) kernels (A, R) of a spectrum. `terma_weights` (E,) is the share of each energy of this
        file in the TERMA: fluence x energy x attenuation x bin width, any scale. Raises EngineError for other shapes,
        negative or vanishing weights."""
        weights = np.asarray(terma_weights, np.float64)
        if weights.shape != self.energy_mev.shape or not bool(np.all(weights >= 0)) or not weights.sum() > 0:
            raise EngineError(f"a spectrum needs {self.energy_mev.size} weights, none negative and not all zero")
        weights = weights / weights.sum()
        return np.tensordot(weights, self.primary, 1), np.tensordot(weights, self.scatter, 1)


def load_point_kernels(path: Path) -> PointKernels:
    """Reads a `couchside-point-kernels-1` .npz. Raises EngineError naming what is missing or impossible."""
    try:
        with np.load(path, allow_pickle=False) as raw:
            if str(raw["format"]) != FORMAT:
                raise EngineError(f"{path.name}: format '{raw['format']}' is not {FORMAT}")
            tables = {key: np.asarray(raw[key], np.float64) for key in PointKernels.__annotations__ if key != "source"}
            kernels = PointKernels(**tables, source=str(raw["source"]))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EngineError(f"{path.name} is not a usable kernel file ({type(error).__name__}: {error})") from error
    for good, sentence in _checks(kernels):
        if not good:
            raise EngineError(f"{path.name}: {sentence}")
    return kernels


def _checks(k: PointKernels) -> tuple[tuple[bool, str], ...]:
    """Written so that a NaN fails; later checks may assume the earlier ones only where shapes cannot raise."""
    energies = k.energy_mev.size
    shape = (energies, k.angle_edges_deg.size - 1, k.radius_edges_mm.size - 1)
    tables = (k.primary, k.scatter, k.primary_error, k.scatter_error)
    right_shapes = all(t.shape == shape for t in tables) and k.escaped.shape == k.water_per_cm.shape == (energies,)
    total = k.primary.sum(axis=(1, 2)) + k.scatter.sum(axis=(1, 2)) + k.escaped if right_shapes else np.full(1, np.nan)
    return (
        (right_shapes and min(shape) > 0, "tables do not fit its energies, angles and radii"),
        (_grows(k.energy_mev) and k.energy_mev[0] > 0, "energies must be positive and grow"),
        (_spans(k.angle_edges_deg, 180.0), "angle edges must grow from 0 to 180 degrees"),
        (_grows(k.radius_edges_mm) and k.radius_edges_mm[0] == 0, "radius edges must grow from 0"),
        (all(bool(np.all(t >= 0)) for t in (*tables, k.escaped)), "fractions and errors must not be negative"),
        (bool(np.all(k.water_per_cm > 0)), "attenuation must be positive"),
        (bool(np.all(np.abs(total - 1) < CONSERVATION)), "primary, scatter and escaped energy do not add up to one"),
    )


def _grows(values: NDArray[np.float64]) -> bool:
    return values.ndim == 1 and values.size > 1 and bool(np.all(np.diff(values) > 0))


def _spans(values: NDArray[np.float64], end: float) -> bool:
    return _grows(values) and values[0] == 0 and values[-1] == end


def _cumulative(shells: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(np.cumsum(shells, axis=2), ((0, 0), (0, 0), (1, 0)))
