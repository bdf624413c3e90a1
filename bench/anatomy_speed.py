"""Seconds from the last slice of the day to propagated contours with quality measures, on 512 x 512 x 120 voxels.

    python bench/anatomy_speed.py [--patient 34]

An OpenKBP patient on 1 mm pixels and 2.5 mm slices as DICOM files: CT and structure set of the reference, CT of a bad
day (all motions of appliance/builtin/daily_scenarios.py at once). The whole of what a session does in `assembling`:
both days read from their files and matched, registered both ways, asked for patient and side, contoured, made a
density map, measured, written; then the case assembled from it. Wall and CPU seconds of each step and the largest
memory. The bar is 45 s on two free cores, the aim 20 s.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from registration_problem import patient, target_of
from registration_speed import large_grid, textured
from rich.console import Console
from rich.table import Table

from appliance.builtin.daily import Anatomy
from appliance.builtin.daily_motion import Motion
from appliance.builtin.daily_scenarios import motion_of
from appliance.builtin.stamp import Stamp
from appliance.builtin.writer import StudyWriter
from appliance.case import assemble
from appliance.case.nomenclature import kind_of
from appliance.case.today import find_anatomy
from appliance.case.today.propagate import contours_of
from appliance.config import AnatomyConfig
from appliance.contracts import Identity, Image, Structure
from appliance.session_headless import read_pair
from engines.grid import VoxelSet
from engines.registration import DisplacementField


def written(anatomy: Anatomy, motion: Motion, folder: Path, taken: date, *, drawn: bool) -> None:
    """One day of the patient as DICOM files."""
    grid = large_grid(anatomy.grid)
    scan = textured(anatomy, motion, grid, taken.day)
    stamp = Stamp(folder.name, None)
    identity = Identity("BENCH", "Bench^Patient", "", "O", stamp.uid("study"), "1", f"{taken:%Y%m%d}", "080000")
    writer = StudyWriter(folder, identity, stamp.uid("frame"), stamp)
    images = writer.write_images(Image(grid, np.rint(scan.hu).astype(np.int16)), folder.name)
    if not drawn:
        return
    still = DisplacementField(anatomy.grid, motion.field_mm(anatomy.grid))
    structures = []
    for number, (name, mask) in enumerate(anatomy.masks.items(), start=1):
        share = still.pulled(mask.astype(np.float32), anatomy.grid, grid, outside=0.0)
        voxels = VoxelSet.from_dense(share * (share > 0.02))
        structures.append(Structure(number, name, name, kind_of(name, ""), contours_of(voxels, grid), voxels))
    writer.write_structures(structures, images, label=folder.name, description="Made for a benchmark.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patient", type=int, default=34)
    own = patient(parser.parse_args().patient)
    with tempfile.TemporaryDirectory() as scratch:
        folder, now = Path(scratch), date.today()
        written(own, Motion(), folder / "reference", now - timedelta(days=10), drawn=True)
        written(own, motion_of(own, "all", target_of(own), 3), folder / "today", now, drawn=False)
        found = read_pair(folder / "reference", folder / "today")
        (folder / "out").mkdir()
        wall, cpu = time.monotonic(), time.process_time()
        begun: dict[str, float] = {}
        note = lambda name, done: begun.setdefault(name, time.process_time())  # noqa: E731
        anatomy, _ = find_anatomy(AnatomyConfig(), found.chosen, found.reference, folder / "out", note)
        ended = time.process_time()
        steps = anatomy.report.seconds
        starts = [*(begun[name] for name in steps), ended]
        rows = [(*step, after - at) for step, at, after in zip(steps.items(), starts, starts[1:], strict=False)]
        rows.append(("all of these", time.monotonic() - wall, ended - cpu))
        wall, cpu = time.monotonic(), time.process_time()
        assemble(found.chosen, anatomy)
        rows.append(("assembling the case", time.monotonic() - wall, time.process_time() - cpu))
    title = f"OpenKBP {parser.parse_args().patient}, verdict {anatomy.report.verdict.value}"
    table = Table("step", "wall s", "CPU s", title=title)
    for name, *seconds in rows:
        table.add_row(name, *(f"{one:.1f}" for one in seconds))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console = Console()
    console.print(table)
    console.print(f"Largest memory of the process: {memory_mb:.0f} MB")


if __name__ == "__main__":
    main()
