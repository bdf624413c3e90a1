"""What a network says of validation patients, with all that its uncertainty is made from: the patient's own pass, that
of the mirrored patient, and the spread of both where the network tells one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .augment import mirrored
from .console import say
from .data import load_patient, patient_files, read_archive, unpacked
from .features import DOSE_UNIT_GY, POSSIBLE
from .network import padded
from .pack import fluence_of
from .predict import Judged

Volume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Members:
    """Volumes (inferior, posterior, left) in Gy. doses, spreads (2, ...): the patient's and the mirrored patient's,
    turned back; spreads None where the network tells none. beyond: organ voxels without dose, as in data.Patient."""

    name: str
    doses: Volume
    spreads: Volume | None
    true_gy: Volume
    label: NDArray[np.uint16]
    spacing_mm: tuple[float, float, float]
    beyond: tuple[int, ...]


def digest(network: Path) -> str:
    return hashlib.sha256(network.read_bytes()).hexdigest()


def members(
    data: Path, network: Path, cache: Path | None, *, archive: Path | None = None, threads: int = 1
) -> Iterator[Members]:
    """Every patient of the folder that has a dose. cache: a folder where passes are kept, by the network's digest.
    archive: of pack.py, whose quick plans are then not made anew, which is most of the time."""
    fluences = _fluences(archive) if archive else {}
    session = None
    folder = cache / digest(network)[:12] if cache else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    for path in patient_files(data):
        patient = load_patient(path)
        if patient is None or patient.dose_gy is None:
            continue
        told = folder / f"{path.stem}.npz" if folder else None
        if told and told.is_file():
            with np.load(told) as file:
                doses, spreads = file["doses"].astype(np.float32), file["spreads"].astype(np.float32)
        else:
            session = session or _session(network, threads)
            judged = Judged.of(patient, torch.device("cpu"), fluences.get(path.stem))
            doses, spreads = _passes(session, judged.features)
            say(f"{path.stem}: {len(doses)} passes")
            if told:
                np.savez(told, doses=doses.astype(np.float16), spreads=spreads.astype(np.float16))
        yield Members(
            path.stem, doses, spreads if spreads.size else None, patient.dose_gy.transpose(2, 0, 1),
            patient.label.transpose(2, 0, 1), patient.spacing_mm, patient.beyond,
        )  # fmt: skip


def _fluences(archive: Path) -> dict[str, torch.Tensor]:
    told = (unpacked(record) for record in read_archive(archive))
    return {patient.name: fluence_of(extra) for patient, extra in told}


def _session(network: Path, threads: int):  # type: ignore[no-untyped-def]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def _passes(session, facts: torch.Tensor) -> tuple[Volume, Volume]:  # type: ignore[no-untyped-def]
    """doses and spreads (2, ...) in Gy; spreads (0,) where there are none."""
    channels = session.get_inputs()[0].shape[1]
    grown, place = padded(facts[:channels])
    names = [output.name for output in session.get_outputs()]
    told: dict[str, list[Volume]] = {name: [] for name in names}
    possible = facts[POSSIBLE].numpy() > 0
    for turned in (False, True):
        seen = mirrored(grown) if turned else grown
        for name, value in zip(names, session.run(names, {"features": seen[None].float().numpy()}), strict=True):
            volume = value[0, 0][..., ::-1] if turned else value[0, 0]
            told[name].append(np.maximum(volume[place], 0.0) * possible * np.float32(DOSE_UNIT_GY))
    spreads = np.stack(told["spread"]) if "spread" in told else np.zeros(0, np.float32)
    return np.stack(told["dose"]), spreads
