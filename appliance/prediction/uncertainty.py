"""How sure a predicted dose is: intervals of voxels and DVH metrics, calibrated on patients that the network was never
trained on. Bands of whole histograms stand on them (dvh_band.py).

A calibration belongs to one network file (its SHA-256) and one way of asking it: `pair`, the mean of what it says of
the patient and of the mirrored patient, or `plain`, the patient alone. Half-widths hold 80 and 95 % of what such
patients' reference plans have; what was measured is in calibration.json and docs/prediction_range.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from appliance.errors import ModelError
from engines.dose_interval import (
    FORMAT,
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
from engines.errors import EngineError

__all__ = [
    "Calibration",
    "Kind",
    "MetricInterval",
    "Sureness",
    "load_calibration",
    "metric_intervals",
    "regions_of",
    "sureness",
]

Passes = Literal["pair", "plain"]
Mask = NDArray[np.bool_]
Volume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Calibration:
    """regions: by name of REGIONS. metrics: factors at LEVELS on a structure's own half-width, by kind and metric.
    coverage: what was measured on held-out patients, for the record. spread: the network tells its own."""

    network_sha256: str
    patients: int
    passes: Passes
    spread: bool
    regions: Mapping[str, RegionTable]
    metrics: Mapping[str, Mapping[str, tuple[float, ...]]]
    coverage: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Sureness:
    """Half-widths of the 80 and 95 % interval of each voxel in Gy, float32 of the dose's shape; zero where dose is
    impossible."""

    half_80_gy: Volume
    half_95_gy: Volume


@dataclass(frozen=True)
class MetricInterval:
    """A metric of the predicted dose in Gy, and half-widths of its intervals."""

    value_gy: float
    half_80_gy: float
    half_95_gy: float


def sureness(
    calibration: Calibration, members_gy: Volume, spreads_gy: Volume | None, *, regions: NDArray[np.uint8],
    spacing_mm: tuple[float, float, float], unit_gy: float,
) -> tuple[Volume, Sureness]:  # fmt: skip
    """The dose in Gy and how sure it is. members_gy, spreads_gy (passes, z, y, x): one for `plain`, two for `pair`, the
    mirrored patient's turned back; spreads None where the network tells none. regions as `regions_of`; unit_gy the
    highest prescription. Raises ModelError where the calibration was made for another number of passes, or with a
    spread that is missing here, or without one that is there; EngineError for shapes that differ."""
    wanted = 2 if calibration.passes == "pair" else 1
    if len(members_gy) != wanted or calibration.spread is (spreads_gy is None):
        told = "with" if calibration.spread else "without"
        raise ModelError(f"the calibration of the dose network was made for {wanted} passes {told} spread")
    dose, scale = dose_and_scale(members_gy, spreads_gy, spacing_mm, unit_gy)
    if regions.shape != dose.shape:
        raise EngineError("dose and regions must share one shape")
    halves = half_widths(calibration.regions, scale, regions)
    return dose, Sureness(halves[0] * np.float32(unit_gy), halves[1] * np.float32(unit_gy))


def metric_intervals(
    calibration: Calibration, dose_gy: Volume, sure: Sureness, *, mask: Mask, kind: Kind, voxel_cc: float
) -> dict[str, MetricInterval]:
    """By metric (`mean`, `D_0.1_cc`, `D_99`, `D_95`, `D_1`) of one structure. Raises EngineError for an empty mask."""
    told = metric_values(Ordered(dose_gy[mask], sure.half_80_gy[mask]), kind, voxel_cc)
    return {
        name: MetricInterval(value, *(factor * scale for factor in calibration.metrics[kind][name]))
        for name, (value, scale) in told.items()
    }


def load_calibration(path: Path, network_sha256: str, passes: Passes = "pair") -> Calibration:
    """Raises ModelError for a file that cannot be read, is of another format, lacks something, or belongs to another
    network."""
    try:
        told = json.loads(path.read_text("utf-8"))
        if told["format"] != FORMAT or tuple(told["levels"]) != LEVELS:
            raise ValueError("it is of another format")
        if told["network_sha256"] != network_sha256:
            raise ModelError(
                f"{path.name} calibrates the network {told['network_sha256'][:8]}, not {network_sha256[:8]}; run "
                "models.dose.calibrate again"
            )
        return calibration_of(told, passes)
    except OSError as error:
        raise ModelError(f"the calibration of the dose network cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the calibration {path.name} is not usable: {error}") from error


def calibration_of(told: Mapping[str, Any], passes: Passes) -> Calibration:
    """From the content of calibration.json. Raises KeyError, TypeError or ValueError for what does not fit."""
    part = told["passes"][passes]
    regions = {}
    for name in REGIONS:
        table = part["regions"][name]
        regions[name] = RegionTable(np.array(table["centres"], float), np.array(table["factors"], float))
        if regions[name].factors.shape != (len(LEVELS), len(regions[name].centres)):
            raise ValueError(f"the table of {name} does not fit its bins")
    metrics = {kind: {name: tuple(f) for name, f in found.items()} for kind, found in part["metrics"].items()}
    return Calibration(
        str(told["network_sha256"]), int(told["patients"]), passes, bool(told["spread"]), regions, metrics,
        part["coverage"],
    )  # fmt: skip
