"""Seconds of each step of a registration of a CT of 512 x 512 x 120 voxels.

    python bench/registration_speed.py [--patient 34] [--threads 2]

An OpenKBP patient on 1 mm pixels and 2.5 mm slices, with fine texture of 20 HU, against the same patient after a bad
day (all motions of appliance/builtin/daily_scenarios.py at once). Steps: rigid, deformable, the coarse backward
registration that inverse consistency is measured with, quality with all organs, and the reference CT warped to today's
full grid. Wall and CPU seconds; the bar for all of them is 30 s on two free cores, the aim 12 s.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from registration_problem import carried, patient, target_of
from rich.console import Console
from rich.table import Table

from appliance.builtin.daily import AIR_HU, Anatomy, with_noise
from appliance.builtin.daily_motion import Motion
from appliance.builtin.daily_scenarios import motion_of
from engines.grid import Grid
from engines.registration import (
    BACKWARD,
    DisplacementField,
    Scan,
    quality_of,
    register_deformable,
    register_rigid,
)

T = TypeVar("T")
PIXELS, SLICES, SLICE_MM, FIELD_MM = 512, 120, 2.5, 500.0
TEXTURE_HU = 20.0


def large_grid(own: Grid) -> Grid:
    step = FIELD_MM / PIXELS
    middle = [
        first + 0.5 * spacing * (count - 1)
        for first, spacing, count in zip(own.origin_mm, own.spacing_mm, own.shape[::-1], strict=True)
    ]
    x, y = (place - 0.5 * step * (PIXELS - 1) for place in middle[:2])
    return Grid((x, y, middle[2] - 0.5 * SLICE_MM * (SLICES - 1)), (step, step, SLICE_MM), (SLICES, PIXELS, PIXELS))


def textured(anatomy: Anatomy, motion: Motion, grid: Grid, seed: int) -> Scan:
    """The patient through a motion on the large grid, linear between the voxels, with fine texture."""
    field = DisplacementField(anatomy.grid, motion.field_mm(anatomy.grid))
    body = field.pulled(anatomy.masks["External"].astype(np.float32), anatomy.grid, grid, outside=0.0) > 0.5
    hu = field.pulled(anatomy.hu, anatomy.grid, grid, outside=AIR_HU)
    return Scan(np.where(body, with_noise(hu, TEXTURE_HU, seed), AIR_HU), grid, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patient", type=int, default=34)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(arguments.threads)
    own = patient(arguments.patient)
    grid = large_grid(own.grid)
    motion = motion_of(own, "all", target_of(own), 3)
    moving, fixed = textured(own, Motion(), grid, 1), textured(own, motion, grid, 2)
    rows: list[tuple[str, float, float]] = []

    def timed(name: str, step: Callable[[], T]) -> T:
        wall, cpu = time.monotonic(), time.process_time()
        found = step()
        rows.append((name, time.monotonic() - wall, time.process_time() - cpu))
        return found

    start = timed("rigid", lambda: register_rigid(fixed.hu, grid, moving.hu, grid))
    field = timed("deformable", lambda: register_deformable(fixed, moving, start=start))
    back = timed("backward", lambda: register_deformable(moving, fixed, start=start.inverse, options=BACKWARD))
    organs = carried(own, field, grid)
    timed("quality", lambda: quality_of(fixed, moving, field, start=start, backward=back, organs=organs))
    timed("warping the CT", lambda: field.pulled(moving.hu, grid, grid, outside=AIR_HU))
    rows.append(("sum", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    table = Table("step", "wall s", "CPU s", title=f"OpenKBP {arguments.patient}, field of {field.grid.shape} voxels")
    for name, wall, cpu in rows:
        table.add_row(name, f"{wall:.1f}", f"{cpu:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
