"""Scores an ONNX file on patients of the data folder, from their masks to the challenge's two numbers.

    python -m models.dose.evaluate ../shared/openkbp/valid models/dose/dose.onnx [--json FILE] [--doses FOLDER]

Nothing of training's archive is used: features and quick plans are made anew from the stored arrays. --json keeps every
patient's scores (several such files are put together by naming them with --known instead of a run), --against compares
with an earlier file patient by patient, --doses writes what the data folder's own score.py reads. Patients without a
dose, a mask or a target are named and left out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .console import say
from .data import load_patient, patient_files
from .export import onnx_predictor
from .features import DOSE_UNIT_GY
from .predict import Judged, Predictor, predicted
from .report import difference, document, scores_of, told
from .score import PatientScore, score_patient

CPU = torch.device("cpu")


def write_dose(folder: Path, source: Path, corner: tuple[int, int, int], dose_gy: torch.Tensor) -> None:
    """(inferior, posterior, left) in Gy, as pt_N.npz with its place in the challenge's grid."""
    with np.load(source) as file:
        offset = file["offset"] + np.array(corner, np.int16)
    np.savez_compressed(folder / source.name, dose=dose_gy.permute(1, 2, 0).numpy().astype(np.float32), offset=offset)


def evaluated(files: list[Path], predictor: Predictor, *, plain: bool, doses: Path | None) -> dict[str, Any]:
    """{"scores": of each patient, "with_ct": names, "cpu_seconds": {"features", "network"} of the median patient}."""
    scores: dict[str, PatientScore] = {}
    with_ct, seconds = [], []
    for path in files:
        patient = load_patient(path)
        if patient is None or patient.dose_gy is None:
            say(f"{path.stem}: no dose, left out")
            continue
        start = time.process_time()
        one = Judged.of(patient, CPU)
        ready = time.process_time()
        dose = predicted(predictor, one.features, plain=plain)
        seconds.append((ready - start, time.process_time() - ready))
        scores[one.name] = score_patient(dose, one.dose * DOSE_UNIT_GY, one.label, one.spacing_mm, one.beyond)
        with_ct += [one.name] if one.has_ct else []
        say(f"{one.name}: {scores[one.name].dose_gy:.3f} Gy")
        if doses:
            write_dose(doses, path, patient.corner, dose)
    median = np.median(seconds, axis=0)
    cost = {name: round(float(value), 2) for name, value in zip(("features", "network"), median, strict=True)}
    return {"scores": document(scores), "with_ct": with_ct, "cpu_seconds": cost}


def together(files: list[Path]) -> dict[str, Any]:
    """Several evaluations of one network as one."""
    known = [json.loads(file.read_text("utf-8")) for file in files]
    merged: dict[str, Any] = {"scores": {}, "with_ct": [], "cpu_seconds": known[0]["cpu_seconds"]}
    for one in known:
        merged["scores"] |= one["scores"]
        merged["with_ct"] += one["with_ct"]
    return merged


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores a dose network on patients of the data folder.")
    parser.add_argument("patients", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--against", type=Path, help="a --json file of another network")
    parser.add_argument("--known", type=Path, nargs="+", help="--json files to put together instead of a run")
    parser.add_argument("--part", default="0/1", help="n/m: every m-th patient from the n-th on, to share a run")
    parser.add_argument("--doses", type=Path)
    parser.add_argument("--plain", action="store_true", help="one pass, without the mean with the mirrored patient")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.doses:
        asked.doses.mkdir(parents=True, exist_ok=True)
    if asked.known:
        found = together(asked.known)
    else:
        first, step = (int(n) for n in asked.part.split("/"))
        files = patient_files(asked.patients)[first::step]
        found = evaluated(files, onnx_predictor(asked.network, asked.threads), plain=asked.plain, doses=asked.doses)
    scores = scores_of(found["scores"])
    found["summary"] = told(scores, found["with_ct"])
    if asked.against:
        other = scores_of(json.loads(asked.against.read_text("utf-8"))["scores"])
        found["against"] = difference(scores, other)
    say(json.dumps({name: part for name, part in found.items() if name not in ("scores", "with_ct")}, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
