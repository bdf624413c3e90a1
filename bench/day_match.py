"""What the likeness of images catches and misses: the right image of the day, mirrored and turned ones, and those of
another patient under this one's name, on OpenKBP patients with made-up days (day_problem.py).

    ./build.sh bench day_match [--patients 60] [--skip 0] [--folder shared/openkbp] [--out rows.jsonl]

Prints for each half of the patients (thresholds come from bench/registration_levels.py) how many right images pass,
are flagged and refused, how many wrong ones are refused, flagged and let through, and CPU seconds of one
comparison. With --out each comparison is kept as a line, and the report is of all lines there: a long run may be
done in parts."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from day_problem import (
    MILD,
    SHARED,
    STRONG,
    USUAL,
    Artefacts,
    body_of_patient,
    cone_beam,
    cut_to_circle,
    day_of,
    image_of,
    patients,
    reference_of,
)

from appliance.case.today.likeness import check_likeness
from appliance.case.today.match import DayReference
from appliance.case.today.modality import Imaging
from appliance.case.today.near_hounsfield import image_for_registration
from appliance.config import AnatomyConfig
from appliance.errors import InconsistentCase
from engines.grid import Grid

FLIPS = {
    "left and right": (2,),
    "head and feet": (0,),
    "about the long axis": (1, 2),
}
KINDS: dict[str, Artefacts | None] = {"CT": None, "mild": MILD, "usual": USUAL, "strong": STRONG, "cut": USUAL}
CUT_MM = 110.0
"""Radius of the field of view of the kind 'cut'."""

FOREIGN = 2
"""Patients before, whose reference an image is held against."""


def judged(name: str, reference: DayReference, hu: np.ndarray, grid: Grid, imaging: Imaging) -> dict[str, object]:
    """What the product says: passed, flagged, or the rule that refused; the likeness as it lies and mirrored."""
    today = image_of(name, hu, grid, imaging)
    began = time.process_time()
    row: dict[str, object] = {"likeness": None, "swapped": None}
    try:
        near = image_for_registration(reference, today, AnatomyConfig())
        result = check_likeness(reference, today, near)
        found = result.found
        row |= {"likeness": found.as_it_is.likeness, "swapped": max(found.swapped.values())} if found else {}
        row["said"] = "flagged" if any(item.warns for item in result.findings) else "passed"
    except InconsistentCase as error:
        row["said"] = error.fields["rule"]
        row["words"] = error.fields["reason"]
    row["cpu_s"] = round(time.process_time() - began, 2)
    return row


def rows(count: int, folder: Path, skip: int) -> Iterator[dict[str, object]]:
    before: list[DayReference] = []
    for number, (name, patient) in enumerate(patients(count, folder, skip), start=skip):
        rng = np.random.default_rng(number)
        body = body_of_patient(patient)
        reference = reference_of(name, patient, body)
        most_mm = float(rng.uniform(3, 15))
        kind = list(KINDS)[number % len(KINDS)]
        day = day_of(patient, body, rng, most_mm=most_mm)
        artefacts = KINDS[kind]
        hu = day.truth_hu if artefacts is None else cone_beam(day, artefacts, rng)
        hu = cut_to_circle(hu, day.grid, CUT_MM) if kind == "cut" else hu
        imaging = Imaging.CT if artefacts is None else Imaging.CBCT
        # A scan of another length: up to a quarter of the slices are missing at the feet.
        cut = int(rng.integers(0, day.grid.shape[0] // 4))
        hu, grid = hu[cut:], day.grid.cropped((cut, 0, 0), day.grid.shape)
        told = {"patient": name, "half": number % 2, "kind": kind, "bend_mm": round(most_mm, 1)}
        yield told | {"case": "right"} | judged(name, reference, hu, grid, imaging)
        for flip, axes in FLIPS.items():
            turned = np.ascontiguousarray(np.flip(hu, axes))
            yield told | {"case": flip} | judged(name, reference, turned, grid, imaging)
        for other in before[-FOREIGN:]:
            yield told | {"case": "another patient"} | judged(name, other, hu, grid, imaging)
        before.append(reference)


def report(found: list[dict[str, object]]) -> None:
    for half, title in ((0, "even patients"), (1, "odd patients")):
        print(f"\n{title}")
        for case in ("right", *FLIPS, "another patient"):
            chosen = [row for row in found if row["half"] == half and row["case"] == case]
            said = Counter(row["said"] for row in chosen)
            known = [float(str(row["likeness"])) for row in chosen if row["likeness"] is not None]
            words = ", ".join(f"{count} {what}" for what, count in said.most_common())
            span = f"; likeness of those not refused {min(known):.3f} to {max(known):.3f}" if known else ""
            print(f"  {case:22s} n {len(chosen):4d}: {words}{span}")
    seconds = [float(str(row["cpu_s"])) for row in found]
    print(f"\nCPU s of one comparison: median {np.median(seconds):.2f}, largest {max(seconds):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"The OpenKBP patients are not at {options.folder}; name their folder with --folder")
    found = []
    for row in rows(options.patients, options.folder, options.skip):
        found.append(row)
        if options.out:
            with options.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    if options.out:
        found = [json.loads(line) for line in options.out.read_text("utf-8").splitlines()]
    report(found)


if __name__ == "__main__":
    main()
