"""How far errors of voxels go together in a structure: the factors of the achievable band, by coverage.

    python -m models.dose.calibrate_band ../shared/openkbp/valid PREDICTED [--out models/dose/band.json]

PREDICTED holds pt_N.npz for validation patients with `dose` and `half_width`, Gy, of the same crop (`offset`): what
the network says of them and the half-width of each voxel's 80 % interval. Patients that are not there are left out.
Coverage is that of patients left out of the fit (five folds). The file holds numbers of all patients together only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.prediction.dvh_band import FORMAT, VOLUMES_PERCENT
from engines.dvh import DoseVolume
from engines.dvh_band import Spread
from engines.statistics.band_fit import Covered, Known, covered, cross_coverage, fit_factors

from .console import say
from .data import ORGANS, TARGETS, Patient, load_patient, patient_files

CLASSES = {"target": TARGETS, "organ": ORGANS}
FIT_AT = VOLUMES_PERCENT[(VOLUMES_PERCENT >= 1) & (VOLUMES_PERCENT <= 99)]
"""Beyond, a single voxel decides."""
LEVEL = 0.8


@dataclass(frozen=True, eq=False)
class Structure:
    name: str
    known: Known


def structures(patients: Path, predicted: Path) -> Iterator[Structure]:
    """Every structure of every patient that has a prediction."""
    for number, path in enumerate(patient_files(patients)):
        patient = load_patient(path) if (predicted / path.name).exists() else None
        if patient is not None and patient.dose_gy is not None:
            dose, half = _prediction(predicted / path.name, path, patient)
            for name in (*TARGETS, *ORGANS):
                if (inside := patient.roi(name)).any():
                    yield Structure(name, _known(number, patient.dose_gy[inside], dose[inside], half[inside]))
            say(f"{path.stem} read")


def _known(
    number: int, true_gy: NDArray[np.float32], dose_gy: NDArray[np.float32], half_gy: NDArray[np.float32]
) -> Known:
    ones = np.ones_like(dose_gy)
    volume = DoseVolume.of(true_gy, ones)
    reference = np.array([volume.dose_at_percent(percent) for percent in FIT_AT])
    return Known.of(Spread.of(dose_gy, half_gy, ones), FIT_AT, reference, number)


def _prediction(path: Path, source: Path, patient: Patient) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Dose and half-width in the patient's own crop. Raises ValueError for another crop, or no half-width."""
    with np.load(path) as file, np.load(source) as told:
        if "half_width" not in file.files:
            raise ValueError(f"{path.name} has no half_width: write predictions with their intervals")
        at = tuple(int(v) for v in told["offset"] + np.array(patient.corner))
        dose, half = file["dose"], file["half_width"]
        if tuple(int(v) for v in file["offset"]) != at or not dose.shape == half.shape == patient.label.shape:
            raise ValueError(f"{path.name} is of another crop than the patient's")
    return dose.astype(np.float32), half.astype(np.float32)


def told(found: Sequence[Structure]) -> dict[str, Any]:
    """The content of band.json."""
    classes: dict[str, Any] = {}
    by_structure: dict[str, Any] = {}
    for kind, names in CLASSES.items():
        known = [one.known for one in found if one.name in names]
        factors = fit_factors(known, LEVEL)
        classes[kind] = asdict(factors) | {"left_out": _rounded(cross_coverage(known, LEVEL))}
        for name in names:
            here = [one.known for one in found if one.name == name]
            if here:
                by_structure[name] = _rounded(covered(here, factors))
    return {
        "format": FORMAT,
        "what": "Shared shift and local noise of histogram bands, in half-widths of a voxel's 80 % interval",
        "level": LEVEL,
        "patients": len({one.known.patient for one in found}),
        "classes": classes,
        "by_structure": by_structure,
    }


def _rounded(found: Covered) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(found).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Fits the achievable band of histograms to known doses.")
    parser.add_argument("patients", type=Path)
    parser.add_argument("predicted", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    made = told(list(structures(asked.patients, asked.predicted)))
    say(json.dumps(made, indent=1))
    if asked.out:
        asked.out.write_text(json.dumps(made, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
