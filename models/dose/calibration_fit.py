"""Factors of a calibration from patients whose dose is known, and the coverage that held-out patients really have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.prediction.uncertainty import (
    LEVELS,
    REGIONS,
    VOLUME_PERCENT,
    Kind,
    RegionTable,
    dose_and_scale,
    half_widths,
    metric_values,
    regions_of,
)
from engines.dose_interval import Ordered, monotone_band
from engines.statistics.conformal import binned_quantiles, conformal_quantile, covered, folds

from .data import ORGANS, PRESCRIBED_GY, ROIS, TARGETS
from .members import Members

UNIT_GY = max(PRESCRIBED_GY)
BINS = {"target": 5, "organ": 5, "other": 8}
"""Bins of the scale (chosen: each still holds hundreds of voxels of every patient)."""
DRAWN = 20_000
"""Voxels of a patient that factors are fitted to (chosen: shares are then known to 0.4 %)."""
FOLDS = 5
SHARES = np.array(VOLUME_PERCENT[::-1]) / 100.0


@dataclass(frozen=True, eq=False)
class Voxels:
    """Parallel arrays (n,): predicted and true dose and scale in units of the prescription, and region."""

    dose: NDArray[np.float32]
    true: NDArray[np.float32]
    scale: NDArray[np.float32]
    region: NDArray[np.uint8]

    @property
    def error(self) -> NDArray[np.float32]:
        return np.abs(self.dose - self.true)


@dataclass(frozen=True, eq=False)
class Known:
    """One patient: voxels drawn where dose is possible, and all voxels of each structure that is there."""

    name: str
    drawn: Voxels
    structures: dict[str, tuple[Kind, Voxels]]
    voxel_cc: float

    @staticmethod
    def of(patient: Members, plain: bool) -> Known:
        roi = {name: (patient.label >> bit & 1).astype(bool) for bit, name in enumerate(ROIS)}
        possible = roi["possible_dose_mask"]
        regions = regions_of(possible, {n: roi[n] for n in ORGANS}, [roi[n] for n in TARGETS])
        a, b, c = patient.spacing_mm
        passes = slice(0, 1) if plain else slice(0, 2)
        spreads = None if patient.spreads is None else patient.spreads[passes]
        dose, scale = dose_and_scale(patient.doses[passes], spreads, (c, a, b), UNIT_GY)
        every = (dose / np.float32(UNIT_GY), patient.true_gy / np.float32(UNIT_GY), scale, regions)
        inside = np.flatnonzero(possible)
        some = np.random.default_rng(len(inside)).choice(inside, min(DRAWN, len(inside)), replace=False)
        structures: dict[str, tuple[Kind, Voxels]] = {}
        for bit, name in enumerate(ROIS[1:], 1):
            if roi[name].any():
                kind: Kind = "organ" if name in ORGANS else "target"
                beyond = patient.beyond[bit]
                outside = (np.zeros(beyond, np.float32),) * 3 + (np.full(beyond, len(REGIONS), np.uint8),)
                parts = (np.concatenate([array[roi[name]], more]) for array, more in zip(every, outside, strict=True))
                structures[name] = (kind, Voxels(*parts))
        drawn = Voxels(*(array.ravel()[some] for array in every))
        return Known(patient.name, drawn, structures, a * b * c / 1000.0)


@dataclass(frozen=True, eq=False)
class Scored:
    """What one structure gives: {metric: (error, scale)} and the band's errors and scales (volumes,)."""

    kind: Kind
    metrics: dict[str, tuple[float, float]]
    curve: NDArray[np.float64]
    true_curve: NDArray[np.float64]
    scales: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Factors:
    regions: dict[str, RegionTable]
    metrics: dict[str, dict[str, list[float]]]
    bands: dict[str, list[float]]


def fit(patients: Sequence[Known]) -> Factors:
    """Voxels first; metrics and bands on top of half-widths that are calibrated already."""
    tables = {}
    for place, name in enumerate(REGIONS):
        inside = [p.drawn.region == place for p in patients]
        errors = [p.drawn.error[k] for p, k in zip(patients, inside, strict=True)]
        scales = [p.drawn.scale[k] for p, k in zip(patients, inside, strict=True)]
        tables[name] = RegionTable(*binned_quantiles(errors, scales, BINS[name], LEVELS))
    scored = [scores(p, tables) for p in patients]
    metrics: dict[str, dict[str, list[float]]] = {}
    bands = {}
    for kind in ("organ", "target"):
        mine = [[one for one in found.values() if one.kind == kind] for found in scored]
        names = sorted({name for found in mine for one in found for name in one.metrics})
        metrics[kind] = {
            name: _levels([np.array([_ratio(*one.metrics[name]) for one in found]) for found in mine]) for name in names
        }
        ratios = [[_ratio(one.true_curve - one.curve, one.scales) for one in found] for found in mine]
        bands[kind] = _levels([np.concatenate(found) if found else np.zeros(0) for found in ratios])
    return Factors(tables, metrics, bands)


def _ratio(error: Any, scale: Any) -> Any:
    return np.abs(error) / np.maximum(scale, 1e-6)


def _levels(found: list[NDArray[np.float64]]) -> list[float]:
    return [conformal_quantile(found, level) for level in LEVELS]


def scores(patient: Known, tables: dict[str, RegionTable]) -> dict[str, Scored]:
    told = {}
    for name, (kind, voxels) in patient.structures.items():
        half = half_widths(tables, voxels.scale, voxels.region)[0]
        mine, known = Ordered(voxels.dose, half), Ordered(voxels.true, half)
        truth = metric_values(known, kind, patient.voxel_cc)
        metrics = {
            metric: (abs(value - truth[metric][0]), scale)
            for metric, (value, scale) in metric_values(mine, kind, patient.voxel_cc).items()
        }
        told[name] = Scored(kind, metrics, mine.dose_at(SHARES), known.dose_at(SHARES), mine.scale_at(SHARES))
    return told


def held_out_coverage(patients: Sequence[Known], parts: int = FOLDS) -> dict[str, Any]:
    """Each patient judged by factors that were fitted without it. Shares are means over patients; `worst` and `spread`
    are of patients' shares."""
    tally: dict[str, list[list[float]]] = {}
    widths: dict[str, list[list[float]]] = {}

    def add(name: str, inside: list[float], wide: list[float]) -> None:
        tally.setdefault(name, []).append(inside)
        widths.setdefault(name, []).append(wide)

    for fitted_on, held in folds(len(patients), parts):
        factors = fit([patients[n] for n in fitted_on])
        for n in held:
            _judge(patients[n], factors, add)
    return {name: _summary(shares, widths[name]) for name, shares in sorted(tally.items())}


def _judge(patient: Known, factors: Factors, add: Any) -> None:
    drawn = patient.drawn
    halves = half_widths(factors.regions, drawn.scale, drawn.region)
    for place, name in ((None, "voxels"), *enumerate(f"voxels {region}" for region in REGIONS)):
        inside = np.ones(len(drawn.region), bool) if place is None else drawn.region == place
        if inside.any():
            shares = [float(covered([drawn.error[inside]], [half[inside]])[0]) for half in halves]
            add(name, shares, [float(half[inside].mean()) for half in halves])
    for structure, one in scores(patient, factors.regions).items():
        for metric, (error, scale) in one.metrics.items():
            wide = [factor * scale for factor in factors.metrics[one.kind][metric]]
            for name in (f"{metric} {one.kind}s", f"{metric} {structure}"):
                add(name, [float(error <= w) for w in wide], wide)
        bands = [monotone_band(one.curve, factor * one.scales) for factor in factors.bands[one.kind]]
        inside_band = [((one.true_curve >= low - 1e-9) & (one.true_curve <= high + 1e-9)) for low, high in bands]
        wide = [float((high - low).mean() / 2) for low, high in bands]
        for name in (f"band {one.kind}s", f"band {structure}"):
            add(name, [float(found.mean()) for found in inside_band], wide)
        add(f"whole band {one.kind}s", [float(found.all()) for found in inside_band], wide)


def _summary(shares: list[list[float]], widths: list[list[float]]) -> dict[str, Any]:
    told, wide = np.array(shares), np.array(widths)
    return {
        "cases": len(told), "covered": np.round(told.mean(0), 3).tolist(),
        "worst": np.round(told.min(0), 3).tolist(), "half_width_gy": np.round(wide.mean(0) * UNIT_GY, 2).tolist(),
    }  # fmt: skip
