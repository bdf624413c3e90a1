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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.prediction.dvh_band import FORMAT, VOLUMES_PERCENT
from appliance.prediction.uncertainty import Calibration, load_calibration, regions_of, sureness
from engines.dvh import DoseVolume
from engines.dvh_band import BandFactors, Spread
from engines.statistics.band_fit import Covered, Known, covered, cross_coverage, fit_factors

from .console import say
from .data import ORGANS, ROIS, TARGETS
from .features import DOSE_UNIT_GY
from .members import Members, digest, members

Volume = NDArray[np.float32]
CLASSES = {"target": TARGETS, "organ": ORGANS}
FIT_AT = VOLUMES_PERCENT[(VOLUMES_PERCENT >= 1) & (VOLUMES_PERCENT <= 99)]
"""Beyond, a single voxel decides."""
LEVEL = 0.8


TOGETHER = BandFactors(-1.0, 0.0, 1.0, 0.0)
"""All voxels of a structure wrong together, each by its whole half-width."""


@dataclass(frozen=True, eq=False)
class Structure:
    name: str
    known: Known


def structures(found: Iterable[Members], calibration: Calibration) -> Iterator[Structure]:
    """Every structure of every patient, with the half-widths that the product gives its voxels."""
    for number, patient in enumerate(found):
        dose, half = _product(patient, calibration)
        for bit, name in enumerate(ROIS[1:], 1):
            inside = (patient.label >> bit & 1).astype(bool)
            if inside.any():
                yield Structure(name, _known(number, patient.true_gy[inside], dose[inside], half[inside]))
        say(f"{patient.name} read")


def _product(patient: Members, calibration: Calibration) -> tuple[Volume, Volume]:
    """Dose and half-width in Gy, as appliance.prediction makes them."""
    roi = {name: (patient.label >> bit & 1).astype(bool) for bit, name in enumerate(ROIS)}
    regions = regions_of(roi[ROIS[0]], {name: roi[name] for name in ORGANS}, [roi[name] for name in TARGETS])
    posterior_mm, left_mm, inferior_mm = patient.spacing_mm
    dose, sure = sureness(
        calibration, patient.doses, patient.spreads, regions=regions,
        spacing_mm=(inferior_mm, posterior_mm, left_mm), unit_gy=DOSE_UNIT_GY,
    )  # fmt: skip
    return dose, sure.half_80_gy


def _known(number: int, true_gy: Volume, dose_gy: Volume, half_gy: Volume) -> Known:
    ones = np.ones_like(dose_gy)
    volume = DoseVolume.of(true_gy, ones)
    reference = np.array([volume.dose_at_percent(percent) for percent in FIT_AT])
    return Known.of(Spread.of(dose_gy, half_gy, ones), FIT_AT, reference, number)


def told(found: Sequence[Structure], network_sha256: str) -> dict[str, Any]:
    """The content of band.json."""
    classes: dict[str, Any] = {}
    by_structure: dict[str, Any] = {}
    for kind, names in CLASSES.items():
        known = [one.known for one in found if one.name in names]
        factors = fit_factors(known, LEVEL)
        classes[kind] = asdict(factors) | {
            "left_out": _rounded(cross_coverage(known, LEVEL)),
            "if_wrong_together": _rounded(covered(known, TOGETHER)),
        }
        for name in names:
            here = [one.known for one in found if one.name == name]
            if here:
                by_structure[name] = _rounded(covered(here, factors))
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
    calibration = load_calibration(asked.calibration, sha256)
    every = (one for one in members(asked.patients, asked.network, asked.cache) if one.name not in asked.without)
    made = told(list(structures(every, calibration)), sha256)
    say(json.dumps(made, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
