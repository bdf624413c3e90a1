"""Packs the data folder for a training machine: patients and their quick plans, in one compact file.

    python -m models.dose.pack ../shared/openkbp out/openkbp.archive [--workers N]

The quick plans take one to three CPU seconds a patient: made once here, not at every start of a training.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .console import say
from .data import Patient, load_patient, packed, patient_files, write_archive
from .features import Anatomy
from .fluence import quick_plans


def fluence_bytes(patient: Patient) -> dict[str, NDArray[np.uint8]]:
    """Quick plans in 255 steps, with the step of each."""
    anatomy = Anatomy.of(patient, torch.device("cpu"))
    fluence = quick_plans(anatomy.label, anatomy.beams, anatomy.shape).numpy()
    step = (fluence.max(axis=(1, 2, 3)) / 255).astype(np.float32)
    return {
        "fluence": np.round(fluence / step[:, None, None, None]).astype(np.uint8),
        "fluence_step": step.view(np.uint8),
    }


def fluence_of(extra: dict[str, NDArray[np.uint8]]) -> torch.Tensor:
    """(plans, 9, w, u) as it was packed."""
    step = extra["fluence_step"].view(np.float32)
    return torch.from_numpy(extra["fluence"].astype(np.float32) * step[:, None, None, None])


def _record(path: Path) -> bytes | None:
    torch.set_num_threads(1)
    patient = load_patient(path)
    if patient is None or patient.dose_gy is None:
        return None
    return packed(patient, fluence_bytes(patient))


def main() -> None:
    parser = argparse.ArgumentParser(description="Packs patients and their quick plans for a training machine.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    files = [file for part in ("train", "valid") for file in patient_files(asked.data / part)]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(asked.workers) as pool:
        records = [record for record in pool.map(_record, files) if record is not None]
    say(f"{len(records)} patients, {write_archive(asked.out, records) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
