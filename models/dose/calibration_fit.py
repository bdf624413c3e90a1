"""Factors of a calibration from patients whose dose is known, and the coverage that held-out patients really have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.dose_interval import (
    LEVELS,
    REGIONS,
    Kind,
    Ordered,
    RegionTable,
    dose_and_scale,
    half_widths,
    metric_values,
    regions_of,
)
from engines.statistics.conformal import binned_quantiles, conformal_quantile, covered, cross_correction, folds

from .data import ORGANS, PRESCRIBED_GY, ROIS, TARGETS
from .members import Members

UNIT_GY = max(PRESCRIBED_GY)
BINS = {"target": 5, "organ": 5, "other": 8}
"""Bins of the scale (chosen: each still holds hundreds of voxels of every patient)."""
DRAWN = 8_000
"""Voxels of a patient that factors are fitted to (chosen: shares are then known to 0.5 %)."""
FOLDS = 5
PLURAL = {"highest": "highest targets", "lower": "lower targets", "organ": "organs"}
KINDS: tuple[Kind, ...] = ("highest", "lower", "organ")


@dataclass(frozen=True, eq=False)
class Voxels:
    """Parallel arrays of one shape: predicted and true dose and scale in units of the prescription, and region."""

    dose: NDArray[np.float32]
    true: NDArray[np.float32]
    scale: NDArray[np.float32]
    region: NDArray[np.uint8]

    def where(self, mask: NDArray[np.bool_], beyond: int = 0) -> Voxels:
        """Of volumes, those in mask, and so many more that have no dose and are sure to."""
        none = np.zeros(beyond, np.float32)
        dose, true, scale = (np.concatenate([a[mask], none]) for a in (self.dose, self.true, self.scale))
        return Voxels(dose, true, scale, np.concatenate([self.region[mask], np.full(beyond, len(REGIONS), np.uint8)]))

    @property
    def error(self) -> NDArray[np.float32]:
        return np.abs(self.dose - self.true)


def kind_of(name: str, roi: dict[str, NDArray[np.bool_]]) -> Kind:
    """Of a structure among masks by name; targets stand in rising order of prescription."""
    if name in ORGANS:
        return "organ"
    return "highest" if name == [target for target in TARGETS if roi[target].any()][-1] else "lower"


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
        every = Voxels(dose / np.float32(UNIT_GY), patient.true_gy / np.float32(UNIT_GY), scale, regions)
        inside = np.flatnonzero(possible)
        some = np.zeros(possible.shape, bool)
        random = np.random.default_rng(len(inside))
        some.flat[random.choice(inside, min(DRAWN, len(inside)), replace=False)] = True
        structures: dict[str, tuple[Kind, Voxels]] = {}
        for bit, name in enumerate(ROIS[1:], 1):
            if roi[name].any():
                kind = kind_of(name, roi)
                structures[name] = (kind, every.where(roi[name], beyond=patient.beyond[bit]))
        return Known(patient.name, every.where(some), structures, a * b * c / 1000.0)


@dataclass(frozen=True, eq=False)
class Scored:
    """What one structure gives: {metric: (error, scale)}."""

    kind: Kind
    metrics: dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Factors:
    regions: dict[str, RegionTable]
    metrics: dict[str, dict[str, list[float]]]


def fit(patients: Sequence[Known]) -> Factors:
    """Voxels first; metrics on top of half-widths that are calibrated already."""
    tables = _tables(patients)
    halves = _held_out(patients)
    for place, name in enumerate(REGIONS):
        inside = [p.drawn.region == place for p in patients]
        errors = [p.drawn.error[k] for p, k in zip(patients, inside, strict=True)]
        for n, level in enumerate(LEVELS):
            tables[name].factors[n] *= cross_correction(
                errors, [half[n][k] for half, k in zip(halves, inside, strict=True)], level
            )
    scored = [scores(p, tables) for p in patients]
    metrics: dict[str, dict[str, list[float]]] = {}
    for kind in KINDS:
        mine = [[one for one in found.values() if one.kind == kind] for found in scored]
        names = sorted({name for found in mine for one in found for name in one.metrics})
        metrics[kind] = {
            name: _levels([np.array([_ratio(*one.metrics[name]) for one in found]) for found in mine]) for name in names
        }
    return Factors(tables, metrics)


def _held_out(patients: Sequence[Known]) -> list[list[NDArray[np.float32]]]:
    """Half-widths at LEVELS of each patient's drawn voxels, by tables of the other folds' patients."""
    halves: list[list[NDArray[np.float32]]] = [[] for _ in patients]
    for fitted_on, held in folds(len(patients), FOLDS):
        tables = _tables([patients[n] for n in fitted_on])
        for n in held:
            halves[n] = half_widths(tables, patients[n].drawn.scale, patients[n].drawn.region)
    return halves


def _tables(patients: Sequence[Known]) -> dict[str, RegionTable]:
    tables = {}
    for place, name in enumerate(REGIONS):
        inside = [p.drawn.region == place for p in patients]
        errors = [p.drawn.error[k] for p, k in zip(patients, inside, strict=True)]
        scales = [p.drawn.scale[k] for p, k in zip(patients, inside, strict=True)]
        tables[name] = RegionTable(*binned_quantiles(errors, scales, BINS[name], LEVELS))
    return tables


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
        told[name] = Scored(kind, metrics)
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
            for name in (f"{metric} {PLURAL[one.kind]}", f"{metric} {structure}"):
                add(name, [float(error <= w) for w in wide], wide)


def _summary(shares: list[list[float]], widths: list[list[float]]) -> dict[str, Any]:
    told, wide = np.array(shares), np.array(widths)
    return {
        "cases": len(told), "covered": np.round(told.mean(0), 3).tolist(),
        "worst": np.round(told.min(0), 3).tolist(), "half_width_gy": np.round(wide.mean(0) * UNIT_GY, 2).tolist(),
    }  # fmt: skip
