"""Features of an archive's patients on disk, so that a run on a machine with little memory starts at once.

    python -m models.dose.cache ARCHIVE FOLDER [--workers N]

A patient is one array of float16 (channels and the dose last, inferior, posterior, left), read in place as it is
needed, and one JSON file with the rest. Patient data: keep the folder out of the repository.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from .console import say
from .data import ROIS, read_archive, unpacked
from .features import CHANNELS, HAS_CT, POSSIBLE
from .pack import fluence_of
from .predict import Judged

CPU = torch.device("cpu")


def write_patient(folder: Path, record: bytes) -> str:
    """Writes one record of an archive; a patient that is there already is left alone. Returns its name."""
    torch.set_num_threads(1)
    patient, extra = unpacked(record)
    told = folder / f"{patient.name}.json"
    if told.is_file():
        return patient.name
    one = Judged.of(patient, CPU, fluence_of(extra))
    both = torch.cat([one.features, one.dose[None]]).half().numpy()
    np.save(folder / f"{patient.name}.npy", both)
    told.write_text(json.dumps({"spacing_mm": one.spacing_mm, "beyond": one.beyond}) + "\n", "utf-8")
    return patient.name


def cached(folder: Path) -> list[Judged]:
    """Patients by number, features and dose in float16 and still on disk. Raises FileNotFoundError for a folder
    without a patient."""
    files = sorted(folder.glob("pt_*.json"), key=lambda path: int(path.stem[3:]))
    if not files:
        raise FileNotFoundError(f"no pt_*.json in {folder}")
    return [_judged(path) for path in files]


def _judged(path: Path) -> Judged:
    told = json.loads(path.read_text("utf-8"))
    # "c": copy on write, since PyTorch wants memory that could be written; nothing writes to it.
    both = torch.from_numpy(np.load(path.with_suffix(".npy"), mmap_mode="c"))
    a, b, c = told["spacing_mm"]
    facts = both[:-1]
    has_ct = bool(facts[HAS_CT].any())
    return Judged(path.stem, facts, both[-1], torch.empty(0), (a, b, c), has_ct, tuple(told["beyond"]))


def label_of(facts: torch.Tensor) -> torch.Tensor:
    """The bit field (inferior, posterior, left) of features: masks are among them."""
    bits = torch.zeros(facts.shape[1:], dtype=torch.int32)
    for bit, name in enumerate(ROIS):
        bits |= (facts[CHANNELS.index(name) if bit else POSSIBLE] > 0.5).int() << bit
    return bits


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the features of an archive's patients to a folder.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(asked.workers) as pool:
        for name in pool.map(partial(write_patient, asked.folder), read_archive(asked.archive)):
            say(name)


if __name__ == "__main__":
    main()
