"""Patients of OpenKBP as arrays, and a compact archive of them that travels to a training machine.

Source of the format: README of the data folder (one `pt_N.npz` a patient). Axes of every array: 0 towards posterior, 1
towards patient left, 2 towards inferior. Where dose is possible (`possible_dose_mask`) is where the challenge scores it
(Babier et al., Med Phys 48:5549, 2021); arrays are cropped to it, since outside it dose is zero by definition.

The archive is for training only and loses what training does not see: CT in steps of 32 HU, dose in steps of 0.05 Gy.
Scores are always computed from the data folder itself. It holds patient data: never commit one.
"""

from __future__ import annotations

import json
import lzma
import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROIS = (
    "possible_dose_mask", "Brainstem", "SpinalCord", "RightParotid", "LeftParotid", "Esophagus", "Larynx", "Mandible",
    "PTV56", "PTV63", "PTV70",
)  # fmt: skip
"""Bits of `label`, from bit 0."""
ORGANS, TARGETS = ROIS[1:8], ROIS[8:]
PRESCRIBED_GY = (56.0, 63.0, 70.0)
"""Of TARGETS."""
CT_STEP_HU, CT_LEVELS, CT_OFFSET = 32, 63, 1000
DOSE_STEP_GY = 0.05
DOSE_UNIT_GY = 0.01
MAGIC = b"couchside-dose-archive-1\n"


@dataclass(frozen=True, eq=False)
class Patient:
    """One patient cropped to where dose is possible. label uint16 (in the axes above), ct_hu float32 or None, dose_gy
    float32 or None, spacing_mm of the three axes, corner of the crop in the stored arrays; beyond: how many voxels of
    each of ROIS lie outside the crop, where dose is zero (they count in the challenge's DVH metrics)."""

    name: str
    label: NDArray[np.uint16]
    ct_hu: NDArray[np.float32] | None
    dose_gy: NDArray[np.float32] | None
    spacing_mm: tuple[float, float, float]
    corner: tuple[int, int, int]
    beyond: tuple[int, ...] = (0,) * len(ROIS)

    def roi(self, name: str) -> NDArray[np.bool_]:
        return (self.label >> ROIS.index(name) & 1).astype(bool)


def patient_files(folder: Path) -> list[Path]:
    """Raises FileNotFoundError where the folder has no patient."""
    files = sorted(folder.glob("pt_*.npz"), key=lambda path: int(path.stem[3:]))
    if not files:
        raise FileNotFoundError(f"no pt_*.npz in {folder}")
    return files


def load_patient(path: Path) -> Patient | None:
    """None for a patient without a mask of possible dose: there is nothing to predict for it."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    label = arrays["label"]
    inside = (label & 1) > 0
    if not inside.any():
        return None
    box = bounding_box(inside)
    ct = (arrays["ct"][box].astype(np.float32) - CT_OFFSET) if "ct" in arrays else None
    dose = arrays["dose"][box].astype(np.float32) * np.float32(DOSE_UNIT_GY) if "dose" in arrays else None
    spacing = tuple(float(v) for v in np.round(arrays["voxel_dimensions"].astype(float), 4))
    corner = tuple(int(side.start) for side in box)
    beyond = tuple(int((label >> bit & 1).sum() - (label[box] >> bit & 1).sum()) for bit in range(len(ROIS)))
    return Patient(path.stem, label[box], ct, dose, spacing, corner, beyond)  # type: ignore[arg-type]


def bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    sides = []
    for axis in range(3):
        seen = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1))
    return sides[0], sides[1], sides[2]


# ---- archive -------------------------------------------------------------------------------------------------------


def packed(patient: Patient, extra: dict[str, NDArray[np.uint8]] | None = None) -> bytes:
    """One compressed record. Dose and CT are stored as differences along axis 1, which compress best."""
    arrays: dict[str, NDArray[np.generic]] = {"label": patient.label}
    if patient.ct_hu is not None:
        level = np.clip(np.round((patient.ct_hu + CT_OFFSET) / CT_STEP_HU), 0, CT_LEVELS)
        arrays["ct"] = _differences(np.where(patient.label & 1, level, 0).astype(np.uint8))
    if patient.dose_gy is not None:
        arrays["dose"] = _differences(np.round(patient.dose_gy / DOSE_STEP_GY).astype(np.uint16))
    arrays |= extra or {}
    header = {
        "name": patient.name, "spacing_mm": patient.spacing_mm, "corner": patient.corner,
        "beyond": patient.beyond,
        "arrays": {name: [str(a.dtype), a.shape] for name, a in arrays.items()},
    }  # fmt: skip
    told = json.dumps(header).encode()
    # Low and high bytes apart: the high ones are nearly constant.
    body = b"".join(a.reshape(-1).view(np.uint8).reshape(-1, a.itemsize).T.tobytes() for a in arrays.values())
    return lzma.compress(struct.pack("<I", len(told)) + told + body, preset=6)


def unpacked(record: bytes) -> tuple[Patient, dict[str, NDArray[np.uint8]]]:
    """The patient, and what else was packed with it."""
    raw = lzma.decompress(record)
    (length,) = struct.unpack_from("<I", raw)
    header = json.loads(raw[4 : 4 + length])
    at, arrays = 4 + length, {}
    for name, (kind, shape) in header["arrays"].items():
        size = np.dtype(kind).itemsize
        count = int(np.prod(shape)) * size
        planes = np.frombuffer(raw, np.uint8, count, at).reshape(size, -1)
        arrays[name] = np.ascontiguousarray(planes.T).view(kind).reshape(shape)
        at += count
    label = arrays.pop("label")
    ct, dose = arrays.pop("ct", None), arrays.pop("dose", None)
    patient = Patient(
        header["name"], label,
        None if ct is None else _summed(ct).astype(np.float32) * CT_STEP_HU - CT_OFFSET,
        None if dose is None else _summed(dose).astype(np.float32) * np.float32(DOSE_STEP_GY),
        tuple(header["spacing_mm"]), tuple(header["corner"]), tuple(header.get("beyond", Patient.beyond)),
    )  # fmt: skip
    return patient, arrays


def write_archive(path: Path, records: Iterable[bytes]) -> int:
    """Writes MAGIC, then length and record after record; returns the bytes written."""
    with path.open("wb") as file:
        file.write(MAGIC)
        for record in records:
            file.write(struct.pack("<I", len(record)) + record)
        return file.tell()


def read_archive(path: Path) -> Iterator[bytes]:
    """Raises ValueError for a file that is no archive or ends early."""
    raw = path.read_bytes()
    if not raw.startswith(MAGIC):
        raise ValueError(f"{path.name} is not an archive of patients")
    at = len(MAGIC)
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        if at + 4 + length > len(raw):
            raise ValueError(f"{path.name} ends in the middle of a patient")
        yield raw[at + 4 : at + 4 + length]
        at += 4 + length


def load_archive(path: Path, workers: int) -> Iterator[tuple[Patient, dict[str, NDArray[np.uint8]]]]:
    """Patients in order, unpacked by so many processes while the caller works on the first."""
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(unpacked, read_archive(path), chunksize=2)


def _differences(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Along axis 1, modulo the type, folded so that small steps of either sign are small numbers."""
    kind = array.dtype
    signed = np.diff(array, axis=1, prepend=np.zeros_like(array[:, :1])).view(f"i{kind.itemsize}")
    return ((signed << 1) ^ (signed >> (8 * kind.itemsize - 1))).view(kind)


def _summed(folded: NDArray[np.generic]) -> NDArray[np.generic]:
    kind = folded.dtype
    one = np.ones((), kind)
    steps = (folded >> one) ^ (~(folded & one) + one)  # type: ignore[operator]
    return np.cumsum(steps, axis=1, dtype=kind)
