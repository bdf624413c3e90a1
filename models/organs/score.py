"""How near the network's organs are to the drawn ones on patients that it never saw, as the product runs it.

    python -m models.organs.score ../shared/openkbp/valid models/organs/organs.toml [--out FILE] [--threads N]

Every patient with a CT becomes a case; `image_context` segments it and compares, as `couchside segment` does: of cord
and oesophagus the slices between the first and the last drawn one. Prints the card's table: mean Dice and median 95 %
surface distance with 95 % intervals over patients. An organ that is drawn and not seen has a Dice of 0, and no
distance; it is counted. Needs no PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.cases import kind_of
from appliance.builtin.packed import read_packed
from appliance.contracts import Case, Image, Structure
from appliance.errors import RefusedObject
from appliance.evaluation.image_context import SegmentationNetwork, image_context, load_network
from engines.grid import VoxelSet
from models.dose.console import say
from models.policy.stored import bare_case

from .data import ORGANS, number_of

DRAWS, SEED, MIDDLE = 4000, 1, 0.95
"""Of the percentile bootstrap over patients (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13)."""


@dataclass(frozen=True)
class Scored:
    """One patient: (Dice, 95 % distance in mm or None where nothing was seen) of each drawn organ; seconds that
    segmenting and comparing took, by the clock and of the processor."""

    number: int
    organs: dict[str, tuple[float, float | None]]
    wall_s: float
    cpu_s: float


def case_of(packed: Path) -> Case:
    """Raises RefusedObject for a patient without a CT."""
    patient = read_packed(packed)
    structures = tuple(
        Structure(number, name, name, kind_of(name), (), VoxelSet.from_dense(mask.astype(np.float32)))
        for number, (name, mask) in enumerate(patient.masks.items(), start=1)
    )
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    return bare_case(digest, Image(patient.grid, patient.hu), structures, None)


def scored(packed: Path, network: SegmentationNetwork, threads: int) -> Scored:
    case = case_of(packed)
    wall, cpu = time.perf_counter(), time.process_time()
    seen = image_context(case, network, threads=threads)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    organs = {
        organ.structure: (organ.dice or 0.0, organ.distance_95_mm)
        for organ in seen.organs
        if organ.contoured_cc is not None
    }
    return Scored(number_of(packed), organs, wall, cpu)


def row(name: str, patients: Sequence[Scored]) -> dict[str, Any]:
    """Of one organ over the patients in whom it is drawn."""
    drawn = [patient.organs[name] for patient in patients if name in patient.organs]
    distances = np.array([distance for _, distance in drawn if distance is not None])
    dice = np.array([overlap for overlap, _ in drawn])
    return {
        "patients": len(drawn),
        "unseen": len(drawn) - len(distances),
        "dice": _told(dice, np.mean, 3),
        "dice_least": round(float(dice.min()), 3) if len(dice) else None,
        "distance_95_mm": _told(distances, np.median, 1),
    }


def _told(values: NDArray[np.float64], what: Any, digits: int) -> list[float] | None:
    """Value, low and high end of its interval; None without values."""
    if not len(values):
        return None
    chosen = np.random.default_rng(SEED).integers(0, len(values), (DRAWS, len(values)))
    ends = np.quantile(what(values[chosen], axis=1), [(1 - MIDDLE) / 2, (1 + MIDDLE) / 2])
    return [round(float(value), digits) for value in (what(values), *ends)]


def report(network: SegmentationNetwork, patients: Sequence[Scored]) -> dict[str, Any]:
    return {
        "sha256": network.sha256,
        "organs": {name: row(name, patients) for name in ORGANS},
        "wall_s": [round(float(v), 1) for v in np.quantile([p.wall_s for p in patients], (0.5, 1.0))],
        "cpu_s": [round(float(v), 1) for v in np.quantile([p.cpu_s for p in patients], (0.5, 1.0))],
        "patients": {
            str(p.number): {n: [round(v, 4) if v is not None else None for v in both] for n, both in p.organs.items()}
            for p in patients
        },
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The card's table."""
    made = ["| organ | patients | not seen | Dice | least | 95 % distance, mm |", "|---|---|---|---|---|---|"]
    for name, one in told["organs"].items():
        dice, distance = (
            "–" if value is None else f"{value[0]} ({value[1]} to {value[2]})"
            for value in (one["dice"], one["distance_95_mm"])
        )
        made.append(f"| {name} | {one['patients']} | {one['unseen']} | {dice} | {one['dice_least']} | {distance} |")
    made.append(f"median and longest: {told['wall_s']} s by the clock, {told['cpu_s']} CPU s a patient")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores a segmentation network on patients that it never saw.")
    parser.add_argument("patients", type=Path, help="folder of pt_N.npz")
    parser.add_argument("network", type=Path, help="TOML file")
    parser.add_argument("--out", type=Path, help="JSON file; keep it out of the repository")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    network, patients = load_network(asked.network, ORGANS), []
    for file in sorted(asked.patients.glob("pt_*.npz"), key=number_of):
        try:
            patients.append(scored(file, network, asked.threads))
        except RefusedObject as refusal:
            say(f"{file.stem}: {refusal.fields['reason']}")
    told = report(network, patients)
    for line in lines(told):
        say(line)
    if asked.out:
        asked.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
