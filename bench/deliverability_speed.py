"""CPU milliseconds of `assess_deliverability` for one arc of 180 control points and a patient of 150 contoured slices.

    python bench/deliverability_speed.py

Leaves move at random within what the machine allows; the patient is an ellipse of 400 by 250 mm with 300 points a
slice. Process time, best of 7; the bar is 100 ms for all figures and all distances."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from appliance.contracts import (
    Beam,
    Case,
    Contour,
    ControlPoint,
    Identity,
    Image,
    Jaws,
    Plan,
    SourceObject,
    Structure,
    StructureKind,
)
from appliance.evaluation.deliverability import assess_deliverability
from appliance.planning import load_machine, machine_view
from engines.grid import Grid, VoxelSet

CONTROL_POINTS, SLICES, CORNERS, RUNS = 180, 150, 300, 7
GRID = Grid((-255.0, -255.0, -223.5), (2.0, 2.0, 3.0), (SLICES, 256, 256))


def arc() -> Plan:
    """Two degrees and 3 MU a control arc, openings of 20 to 60 mm."""
    machine, rng = load_machine("millennium120"), np.random.default_rng(1)
    borders = tuple(machine.mlc.boundaries_mm.tolist())
    points = []
    for k in range(CONTROL_POINTS):
        a, b = -rng.uniform(10, 30, len(borders) - 1), rng.uniform(10, 30, len(borders) - 1)
        jaws = Jaws(-60, 60, -100, 100)
        gantry = (181.0 + 2.0 * k) % 360
        points.append(ControlPoint(3.0 * k, gantry, 10.0, 0.0, jaws, tuple(a.tolist()), tuple(b.tolist())))
    beam = Beam(1, "ARC", "M", 6.0, "STANDARD", (0.0, 0.0, 0.0), 1000.0, 600.0, borders, tuple(points))
    return Plan("bench", (beam,), 30, "HFS", "VMAT")


def patient() -> Case:
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    loop = np.column_stack([200 * np.cos(angle), 125 * np.sin(angle)])
    contours = tuple(Contour(float(z), loop) for z in GRID.axes_mm()[2])
    nothing = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))
    body = Structure(1, "External", "External", StructureKind.EXTERNAL, contours, nothing)
    source = SourceObject("1", "1", "1", "RTSTRUCT", Path("rs.dcm"), "0" * 64)
    image = Image(GRID, np.zeros((1, 1, 1), np.int16))
    return Case("c" * 64, Identity("", "", "", "", "1"), "1", "HFS", image, (body,), (), 30, (), source)


def milliseconds(work: Callable[[], object]) -> float:
    best = np.inf
    for _ in range(RUNS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return 1000.0 * float(best)


def main() -> None:
    plan, case = arc(), patient()
    view = machine_view(plan)
    print(f"figures alone           {milliseconds(lambda: assess_deliverability(plan, view, None, 60.0)):7.1f} ms CPU")
    print(f"figures and distances   {milliseconds(lambda: assess_deliverability(plan, view, case, 60.0)):7.1f} ms CPU")
    print(f"times of the machine    {milliseconds(lambda: machine_view(plan)):7.1f} ms CPU")


if __name__ == "__main__":
    main()
