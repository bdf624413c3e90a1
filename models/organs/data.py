"""OpenKBP patients as volumes to train on: the CT and which voxel says what about which organ.

    python -m models.organs.data ../shared/openkbp CACHE

A packed patient is cut to the patient with the air that the product leaves around (evaluation/image_context) and
resampled as the product does it (engines/segmentation). CACHE gets one int16 array (2, z, y, x) a patient, HU and a bit
field, in LPS, and fingerprint.json: the intensities inside the organs of the training patients, which the network's
input is normalised by. Patient data: keep the folder out of the repository.

An organ that nobody drew is not background: its voxels do not count. Cord and oesophagus end below where the drawing
ended, so slices under the lowest drawn one do not count for them; above, where both end in the body, they do, but for
UNSURE_MM over the highest drawn slice, where drawers differ.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.packed import PackedPatient, read_packed
from appliance.errors import RefusedObject
from appliance.evaluation.image_context.run import around_patient
from engines.grid import VoxelSet, resample
from engines.segmentation import Intensity, NetworkSpec
from engines.segmentation.whole_image import network_grid
from models.dose.console import say

ORGANS = ("Brainstem", "SpinalCord", "Parotid_R", "Parotid_L", "Esophagus", "Larynx", "Bone_Mandible")
"""TG-263 names; channel n of the network is organ n, and so are bits n and COUNTS + n of a volume."""
PARTIAL = ("SpinalCord", "Esophagus")
"""Organs drawn as far down as the treatment asked for."""
MIRRORED = (0, 1, 3, 2, 4, 5, 6)
"""The organ that each becomes in a patient seen in a mirror."""
BODY, COUNTS = 7, 8
"""Bit of the patient's outline; first bit of which organs a voxel says anything about."""
UNSURE_MM = 10.0
"""Chosen: the upper end of a drawn cord or oesophagus differs by a few slices between drawers."""
FIRST_VALIDATION = 201
"""Patients from this number on are the challenge's validation set: never trained on."""
SPACING_MM = (3.0, 3.906, 3.906)
"""z, y, x. In plane what most patients have, so that they are not resampled there; along z a little coarser than
their 2.5 mm (chosen: a fifth less to compute, and no organ here is thinner than 10 mm)."""
PATCH = (48, 48, 56)
"""z, y, x: 144, 187 and 219 mm, both parotids and what is between them (chosen)."""
OVERLAP = 0.25
"""Share of a patch that the next one covers again (chosen: a half, which nnU-Net takes, costs three times as long)."""
INSIDE_SHARE = 0.5
"""A voxel is an organ's where at least half of it is, as with the masks of the product."""
PERCENTILES = (0.5, 99.5)
"""Of nnU-Net's normalisation of CT (Isensee et al., Nat Methods 18:203, 2021)."""
SAMPLES = 20_000
"""Voxels of a patient's organs that the fingerprint takes at most, evenly spread (chosen)."""

Bits = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Volume:
    """One cached patient: number, HU and bit field (z, y, x); flat places of each drawn organ's voxels, by channel."""

    number: int
    hu: NDArray[np.int16]
    bits: Bits
    places: dict[int, NDArray[np.int32]]


def spec_of(intensity: Intensity) -> NetworkSpec:
    """What the product has to know of a network of this folder."""
    return NetworkSpec(
        orientation="SPL",
        spacing_mm=SPACING_MM,
        patch=PATCH,
        intensity=intensity,
        kind="sigmoid",
        values="logits",
        labels=tuple(enumerate(ORGANS)),
        overlap=OVERLAP,
    )


def counted(drawn: NDArray[np.bool_], step_mm: float, partial: bool) -> NDArray[np.bool_]:
    """(z,) which slices say something about an organ, from which slices it is drawn in (z upwards)."""
    slices = np.flatnonzero(drawn)
    if slices.size == 0 or not partial:
        return np.full(drawn.shape, slices.size > 0)
    above = np.arange(drawn.size) - int(slices[-1])
    return np.asarray(drawn | (above * step_mm > UNSURE_MM))


def volume_of(patient: PackedPatient) -> Bits:
    """(2, z, y, x): HU, and the bit field."""
    lower, upper = around_patient(VoxelSet.from_dense(patient.masks["External"].astype(np.float32)), patient.grid)
    cut, box = patient.grid.cropped(lower, upper), tuple(map(slice, lower, upper))
    grid = network_grid(cut, spec_of(Intensity("none")))
    hu = resample(patient.hu[box], cut, grid, outside=float(patient.hu.min()))
    bits = np.zeros(grid.shape, np.int16)
    for bit, name in (*enumerate(ORGANS), (BODY, "External")):
        if name not in patient.masks:
            continue
        mask = resample(patient.masks[name][box], cut, grid) >= INSIDE_SHARE
        bits |= mask.astype(np.int16) << bit
        if bit < BODY:
            counts = counted(np.asarray(mask.any(axis=(1, 2))), grid.spacing_mm[2], name in PARTIAL)
            bits |= counts.astype(np.int16)[:, None, None] << (COUNTS + bit)
    return np.stack([np.rint(hu).astype(np.int16), bits])


def number_of(file: Path) -> int:
    return int(file.stem.removeprefix("pt_"))


def write_cache(openkbp: Path, cache: Path) -> int:
    """Writes every patient with a CT that is not there yet, then the fingerprint; returns how many there are."""
    cache.mkdir(parents=True, exist_ok=True)
    for file in sorted(openkbp.glob("*/pt_*.npz"), key=number_of):
        kept = cache / f"{file.stem}.npy"
        if kept.is_file():
            continue
        try:
            made = volume_of(read_packed(file))
        except RefusedObject as refusal:
            say(f"{file.stem}: {refusal}")
            continue
        part = kept.with_suffix(".part")
        with part.open("wb") as out:
            np.save(out, made)
        part.replace(kept)
    volumes = load_cache(cache)
    made_of = fingerprint([volume for volume in volumes if volume.number < FIRST_VALIDATION])
    (cache / "fingerprint.json").write_text(json.dumps(made_of, indent=1) + "\n", "utf-8")
    return len(volumes)


def load_cache(cache: Path) -> list[Volume]:
    """All patients by number, read from the disk as they are needed. Raises FileNotFoundError where there is none."""
    files = sorted(cache.glob("pt_*.npy"), key=number_of)
    if not files:
        raise FileNotFoundError(f"no pt_*.npy in {cache}; python -m models.organs.data writes them")
    return [_volume(file) for file in files]


def _volume(file: Path) -> Volume:
    both = np.load(file, mmap_mode="r")
    places = {}
    for channel in range(len(ORGANS)):
        inside = np.flatnonzero(both[1] >> channel & 1).astype(np.int32)
        if inside.size:
            places[channel] = inside
    return Volume(number_of(file), both[0], both[1], places)


def fingerprint(volumes: list[Volume]) -> dict[str, float]:
    """Of the HU inside all organs together, in the keys of a network file's [intensity]."""
    values = []
    for volume in volumes:
        inside = volume.hu.reshape(-1)[np.unique(np.concatenate(list(volume.places.values())))]
        values.append(inside[:: max(1, inside.size // SAMPLES)])
    together = np.concatenate(values).astype(np.float64)
    low, high = np.percentile(together, PERCENTILES)
    numbers = {
        "percentile_00_5": low,
        "percentile_99_5": high,
        "mean": together.mean(),
        "std": together.std(),
    }
    return {name: round(float(value), 1) for name, value in numbers.items()}


def intensity_of(cache: Path) -> Intensity:
    told = json.loads((cache / "fingerprint.json").read_text("utf-8"))
    return Intensity("ct", told["percentile_00_5"], told["percentile_99_5"], told["mean"], told["std"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes OpenKBP's patients with a CT as volumes to train on.")
    parser.add_argument("openkbp", type=Path, help="folder with train and valid")
    parser.add_argument("cache", type=Path)
    asked = parser.parse_args()
    say(f"{write_cache(asked.openkbp, asked.cache)} patients")


if __name__ == "__main__":
    main()
