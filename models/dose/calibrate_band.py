"""How far errors of voxels go together in a structure: the factors of the achievable band, by coverage.

    python -m models.dose.calibrate_band ../shared/openkbp/valid models/dose/dose.onnx [--cache FOLDER]
        [--calibration models/dose/calibration.json] [--out models/dose/band.json] [--without pt_215 ...]

After models.dose.calibrate, whose half-widths of voxels it builds on; --cache is the same folder. Coverage is that of
patients left out of the fit (five folds), beside what a band would cover if all voxels of a structure were wrong
together. The file holds numbers of all patients together only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.dose_interval import RegionTable, dose_and_scale, half_widths, regions_of
from engines.dvh import DoseVolume
from engines.dvh_band import CLASSES, FORMAT, VOLUMES_PERCENT, BandFactors, Spread
from engines.statistics.band_fit import Covered, Known, covered, cross_coverage, fit_factors

from .calibration_fit import kind_of
from .console import say
from .data import ORGANS, ROIS, TARGETS
from .features import DOSE_UNIT_GY
from .members import Members, digest, members

Volume = NDArray[np.float32]
Tables = Mapping[str, RegionTable]
FIT_AT = VOLUMES_PERCENT[(VOLUMES_PERCENT >= 1) & (VOLUMES_PERCENT <= 99)]
"""Beyond, a single voxel decides."""
LEVEL = 0.8


TOGETHER = BandFactors(-1.0, 0.0, 1.0, 0.0)
"""All voxels of a structure wrong together, each by its whole half-width."""


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure of one patient. kind: one of CLASSES."""

    name: str
    kind: str
    known: Known


def structures(found: Iterable[Members], tables: Tables) -> Iterator[Structure]:
    """Every structure of every patient, with the half-widths that the product gives its voxels."""
    for number, patient in enumerate(found):
        dose, half = _product(patient, tables)
        roi = _roi(patient)
        for name in ROIS[1:]:
            if (inside := roi[name]).any():
                beyond = patient.beyond[ROIS.index(name)]
                known = _known(number, *(_whole(of, inside, beyond) for of in (patient.true_gy, dose, half)))
                yield Structure(name, kind_of(name, roi), known)
        say(f"{patient.name} read")


def _whole(volume: Volume, inside: NDArray[np.bool_], beyond: int) -> Volume:
    """(n,) of a structure, with the voxels that lie where no dose is possible."""
    return np.concatenate([volume[inside], np.zeros(beyond, np.float32)])


def _product(patient: Members, tables: Tables) -> tuple[Volume, Volume]:
    """Dose and half-width in Gy, as appliance.prediction makes them."""
    roi = _roi(patient)
    regions = regions_of(roi[ROIS[0]], {name: roi[name] for name in ORGANS}, [roi[name] for name in TARGETS])
    posterior_mm, left_mm, inferior_mm = patient.spacing_mm
    spacing_mm = (inferior_mm, posterior_mm, left_mm)
    dose, scale = dose_and_scale(patient.doses, patient.spreads, spacing_mm, DOSE_UNIT_GY)
    return dose, half_widths(tables, scale, regions)[0] * np.float32(DOSE_UNIT_GY)


def _roi(patient: Members) -> dict[str, NDArray[np.bool_]]:
    return {name: (patient.label >> bit & 1).astype(bool) for bit, name in enumerate(ROIS)}


def tables_of(path: Path, network_sha256: str) -> Tables:
    """Of calibration.json, for the mean of patient and mirrored patient. Raises ValueError for another network's."""
    told = json.loads(path.read_text("utf-8"))
    if told["network_sha256"] != network_sha256:
        raise ValueError(f"{path.name} calibrates another network; run models.dose.calibrate first")
    return {
        name: RegionTable(np.array(table["centres"]), np.array(table["factors"]))
        for name, table in told["passes"]["pair"]["regions"].items()
    }


def _known(number: int, true_gy: Volume, dose_gy: Volume, half_gy: Volume) -> Known:
    ones = np.ones_like(dose_gy)
    volume = DoseVolume.of(true_gy, ones)
    reference = np.array([volume.dose_at_percent(percent) for percent in FIT_AT])
    return Known.of(Spread.of(dose_gy, half_gy, ones), FIT_AT, reference, number)


def told(found: Sequence[Structure], network_sha256: str) -> dict[str, Any]:
    """The content of band.json."""
    classes: dict[str, Any] = {}
    by_structure: dict[str, Any] = {}
    for kind in CLASSES:
        known = [one.known for one in found if one.kind == kind]
        factors = fit_factors(known, LEVEL)
        classes[kind] = asdict(factors) | {
            "left_out": _rounded(cross_coverage(known, LEVEL)),
            "if_wrong_together": _rounded(covered(known, TOGETHER)),
        }
        for name in dict.fromkeys(one.name for one in found if one.kind == kind):
            here = [one.known for one in found if one.kind == kind and one.name == name]
            by_structure[f"{name} ({kind})" if name in TARGETS else name] = _rounded(covered(here, factors))
    return {
        "format": FORMAT,
        "what": "Shared shift and local noise of histogram bands, in half-widths of a voxel's 80 % interval",
        "level": LEVEL,
        "network_sha256": network_sha256,
        "patients": len({one.known.patient for one in found}),
        "classes": classes,
        "by_structure": by_structure,
    }


def _rounded(found: Covered) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(found).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Fits the achievable band of histograms to known doses.")
    parser.add_argument("patients", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--calibration", type=Path, default=Path("models/dose/calibration.json"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--without", nargs="*", default=[], help="patients left out, by name")
    asked = parser.parse_args()
    sha256 = digest(asked.network)
    tables = tables_of(asked.calibration, sha256)
    every = (one for one in members(asked.patients, asked.network, asked.cache) if one.name not in asked.without)
    made = told(list(structures(every, tables)), sha256)
    say(json.dumps(made, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
