"""Scores an ONNX file on patients of the data folder, from their masks to the challenge's two numbers.

    python -m models.dose.evaluate ../shared/openkbp/valid models/dose/dose.onnx [--json FILE] [--doses FOLDER]

Nothing of training's archive is used: features and quick plans are made anew from the stored arrays. --doses writes
what the data folder's own score.py reads. Patients without a dose, a mask or a target are named and left out.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from .console import say
from .data import load_patient, patient_files
from .export import onnx_predictor
from .features import DOSE_UNIT_GY
from .predict import Judged, predicted, summary
from .score import PatientScore, score_patient

CPU = torch.device("cpu")


def write_dose(folder: Path, source: Path, corner: tuple[int, int, int], dose_gy: torch.Tensor) -> None:
    """(inferior, posterior, left) in Gy, as pt_N.npz with its place in the challenge's grid."""
    with np.load(source) as file:
        offset = file["offset"] + np.array(corner, np.int16)
    np.savez_compressed(folder / source.name, dose=dose_gy.permute(1, 2, 0).numpy().astype(np.float32), offset=offset)


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores a dose network on patients of the data folder.")
    parser.add_argument("patients", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--doses", type=Path)
    parser.add_argument("--plain", action="store_true", help="one pass, without the mean with the mirrored patient")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    if asked.doses:
        asked.doses.mkdir(parents=True, exist_ok=True)
    predictor = onnx_predictor(asked.network, asked.threads)
    scores: list[PatientScore] = []
    seen: list[Judged] = []
    seconds = []
    for path in patient_files(asked.patients):
        start, patient = time.process_time(), load_patient(path)
        if patient is None or patient.dose_gy is None:
            say(f"{path.stem}: no dose, left out")
            continue
        one = Judged.of(patient, CPU)
        dose = predicted(predictor, one.features, plain=asked.plain)
        seconds.append(time.process_time() - start)
        scores.append(score_patient(dose, one.dose * DOSE_UNIT_GY, one.label, one.spacing_mm, one.beyond))
        seen.append(replace(one, features=torch.empty(0), dose=torch.empty(0), label=torch.empty(0)))
        say(f"{path.stem}: {scores[-1].dose_gy:.3f} Gy")
        if asked.doses:
            write_dose(asked.doses, path, patient.corner, dose)
    told: dict[str, object] = {name: round(value, 4) for name, value in summary(scores, seen).items()}
    cells: dict[str, list[float]] = {}
    for score in scores:
        for (metric, region), off in score.dvh_gy.items():
            cells.setdefault(f"{region} {metric}", []).append(off)
    told["dvh_gy"] = {name: round(sum(values) / len(values), 3) for name, values in sorted(cells.items())}
    told |= {"patients": len(scores), "with_ct": sum(one.has_ct for one in seen)}
    told["cpu_seconds_a_patient"] = round(float(np.median(seconds)), 2)
    say(json.dumps(told, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
