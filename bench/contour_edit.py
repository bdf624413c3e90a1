"""CPU seconds from an edit of one slice to new contours, voxels, derived PTVs and dose-volume histograms.

    ./build.sh bench contour_edit [--runs 7]

A made-up patient on 512 x 512 x 120 voxels of 0.98 x 0.98 x 2.5 mm: body, 17 organs and two CTVs, each with a PTV that
is the CTV and 5 mm, cropped 3 mm inside the skin; a smooth dose on every voxel. Edits of the larger CTV (76 mm across,
slices of 235 points) in its middle slice: a polygon added, a brush stroke taken away; and a polygon taken off the body
where it lies near a PTV. Of each: the edit itself (contours and voxels of that structure), what is derived from it, and
the histograms of what changed. One thread. Printed beside it: the same result made anew as a whole (every structure
rasterised, both PTVs derived, all histograms), which is what an edit would cost without the desk; and what comparing
two states of an organ, of a lung and of the body takes, and finding in contours alone which margin the PTVs have.

Bar 1 s for an edit, aim 0.2 s; 0.3 s for a comparison of an organ or a lung; 1 s for the margins. Exit
code 1 beyond a bar.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.changed_dvh import changed_dvhs
from appliance.case.today.editing import ContourDesk, DeskChange
from appliance.case.today.recognising import recognised_rules
from appliance.contracts import Contour, Structure, StructureKind
from appliance.contracts.contour_edit import AddPolygon, ContourEdit, SubtractBrush, SubtractPolygon
from appliance.contracts.derived import DerivedRule
from engines.contouring import compare
from engines.grid import Grid, Margins, rasterise

EDIT_BAR_S, EDIT_AIM_S, COMPARE_BAR_S, MARGINS_BAR_S = 1.0, 0.2, 0.3, 1.0
GRID = Grid((-250.0, -250.0, -150.0), (500 / 512, 500 / 512, 2.5), (120, 512, 512))
TURN = np.linspace(0, 2 * np.pi, 236)[:-1]
RULES = tuple(DerivedRule(f"PTV_{n}", f"CTV_{n}", Margins.all_round(5.0), 3.0) for n in (1, 2))
EDITS: dict[str, ContourEdit] = {
    "polygon added to the CTV": AddPolygon("CTV_1", 0.0, ((40, 10), (62, 12), (58, 30), (40, 35))),
    "brush on the CTV": SubtractBrush("CTV_1", 0.0, ((50, -10), (45, 5), (48, 20), (40, 30)), 6.0),
    "polygon off the body": SubtractPolygon("External", 0.0, ((170, -10), (182, -10), (182, 60), (160, 60))),
}

Place = tuple[float, float, float]


def ellipsoid(number: int, name: str, kind: StructureKind, centre: Place, radii: Place) -> Structure:
    """Points on a lattice of 0.0001 mm, as a structure set holds them."""
    contours = []
    for z_mm in GRID.axes_mm()[2].tolist():
        height = 1 - ((z_mm - centre[2]) / radii[2]) ** 2
        if height > 0.01:
            across = np.sqrt(height) * np.column_stack([radii[0] * np.cos(TURN), radii[1] * np.sin(TURN)])
            contours.append(Contour(z_mm, np.round(across + centre[:2], 4)))
    voxels = rasterise({contour.z_mm: [contour.points_mm] for contour in contours}, GRID)
    return Structure(number, name, name, kind, tuple(contours), voxels)


def patient() -> tuple[Structure, ...]:
    rng = np.random.default_rng(5)
    places = rng.uniform([-90, -60, -90, 8, 8, 10], [90, 60, 90, 35, 30, 60], (16, 6)).tolist()
    organs = [
        ellipsoid(10 + n, f"Organ_{n}", StructureKind.ORGAN, (x, y, z), (a, b, c))
        for n, (x, y, z, a, b, c) in enumerate(places)
    ]
    return (
        ellipsoid(1, "External", StructureKind.EXTERNAL, (0, 0, 0), (180, 120, 1e4)),
        ellipsoid(2, "CTV_1", StructureKind.TARGET, (12, 5, 0), (38, 34, 45)),
        ellipsoid(3, "CTV_2", StructureKind.TARGET, (148, 10, 0), (22, 20, 25)),
        ellipsoid(4, "Lung", StructureKind.ORGAN, (-80, 0, 10), (70, 90, 120)),
        *organs,
    )


def dose() -> NDArray[np.float32]:
    x, y, z = (np.exp(-((axis / width) ** 2)) for axis, width in zip(GRID.axes_mm(), (90, 80, 70), strict=True))
    return (60 * z[:, None, None] * y[:, None] * x).astype(np.float32)


def seconds(work: Callable[[], object], runs: int) -> float:
    """Median CPU seconds."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def edit_seconds(desk: ContourDesk, edit: ContourEdit, runs: int) -> tuple[float, DeskChange]:
    """Undone after every run, outside the clock."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        change = desk.apply(edit)
        found.append(time.process_time() - began)
        desk.undo()
    return statistics.median(found), change


def edits(structures: tuple[Structure, ...], runs: int) -> list[float]:
    dose_gy = dose()
    bare, desk = ContourDesk(structures, GRID), ContourDesk(structures, GRID, RULES)
    print(f"{'CPU s':<28}{'edit':>9}{'derived':>9}{'DVH':>9}{'all':>9}   changed")
    totals = []
    for name, edit in EDITS.items():
        own, _ = edit_seconds(bare, edit, runs)
        both, change = edit_seconds(desk, edit, runs)
        curves = seconds(lambda change=change: changed_dvhs(change, dose_gy, GRID), runs)  # type: ignore[misc]
        totals.append(both + curves)
        parts = (own, max(both - own, 0), curves, both + curves)
        print(f"{name:<28}" + "".join(f"{part:9.3f}" for part in parts) + f"   {', '.join(change.names)}")
    whole = seconds(lambda: all_anew(desk.structures, dose_gy), 1)
    print(f"everything made anew: {whole:.1f} s, {whole / max(totals):.0f} times the slowest edit")
    return totals


def all_anew(structures: tuple[Structure, ...], dose_gy: NDArray[np.float32]) -> None:
    read = []
    for structure in structures:
        planes: dict[float, list[NDArray[np.float64]]] = {}
        for contour in structure.contours:
            planes.setdefault(contour.z_mm, []).append(contour.points_mm)
        read.append(replace(structure, voxels=rasterise(planes, GRID), origin=None))
    desk = ContourDesk(read, GRID, RULES)
    changed_dvhs(DeskChange(desk.structures, {}), dose_gy, GRID)


def comparisons(structures: tuple[Structure, ...], runs: int) -> list[float]:
    kinds = {"organ": (30.0, 25.0, 40.0), "lung": (70.0, 90.0, 120.0), "body": (180.0, 120.0, 1e4)}
    found = []
    for name, radii in kinds.items():
        one = ellipsoid(1, name, StructureKind.ORGAN, (0, 0, 0), radii)
        other = ellipsoid(1, name, StructureKind.ORGAN, (2, -1, 2.5), (radii[0] + 1, radii[1], radii[2]))
        found.append(seconds(lambda one=one, other=other: compare(one.voxels, other.voxels, GRID), runs))  # type: ignore[misc]
        print(f"comparison of two states of {name:<8}{found[-1]:8.3f} CPU s")
    return found


def margins(structures: tuple[Structure, ...], runs: int) -> float:
    drawn = ContourDesk(structures, GRID, RULES).structures
    found = seconds(lambda: recognised_rules(drawn, GRID), runs)
    # Neither PTV lies so near the skin that its crop shows.
    wanted = tuple(replace(rule, crop_to_external_mm=0.0) for rule in RULES)
    are_right = recognised_rules(drawn, GRID) == wanted
    print(f"margins of both PTVs      {found:8.3f} CPU s, {'right' if are_right else 'WRONG'}")
    return found if are_right else math.inf


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    structures = patient()
    totals = edits(structures, runs)
    organ, lung, _ = comparisons(structures, max(1, runs // 2))
    asked = margins(structures, max(1, runs // 2))
    bars = f"{COMPARE_BAR_S:g} s a comparison of organ or lung, {MARGINS_BAR_S:g} s the margins"
    print(f"bars: {EDIT_BAR_S:g} s an edit (aim {EDIT_AIM_S:g}), {bars}")
    return int(max(totals) > EDIT_BAR_S or max(organ, lung) > COMPARE_BAR_S or asked > MARGINS_BAR_S)


if __name__ == "__main__":
    sys.exit(main())
