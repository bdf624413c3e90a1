"""Error of registrations of simulated days with known truth, against peers in the same run.

    python bench/registration.py --out DIR [--patients 195 49 ...] [--scenarios all ...] [--images CT ...] [--bspline]
    python bench/registration.py --out DIR --report

Each patient's CT is read through motions in closed form (registration_problem.py). Ways: the rigid start alone; ours;
SimpleITK's demons as its documentation shows them (multi-resolution, standard deviation 1, 20 iterations a level, no
masks) after the same rigid start on voxels of the same size; with --bspline also its B-spline registration (Mattes
mutual information, 5 % of the voxels, L-BFGS-B, a mesh of 50 mm).
Figures: target registration error inside the body, Dice and
95th percentile surface distance of the structures carried over, folded voxels, CPU seconds. A case that is in
DIR/registration.jsonl is not run again; the report gives medians and the 5th and 95th percentile over cases.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from registration_problem import IMAGES, SimulatedDay, patient, simulated, truth_of
from rich.console import Console
from rich.table import Table

from appliance.builtin.daily import AIR_HU
from appliance.builtin.daily_scenarios import SCENARIOS
from engines.grid import Grid
from engines.registration import (
    DisplacementField,
    RigidTransform,
    moved,
    register_deformable,
    register_rigid,
)
from engines.registration.simpleitk import itk_image

PATIENTS = (195, 49, 166, 108, 16, 86)
SPACING_MM = 3.0
Way = Callable[[SimulatedDay, RigidTransform], DisplacementField]


def rigid(day: SimulatedDay, start: RigidTransform) -> DisplacementField:
    return DisplacementField.of_rigid(start, day.fixed.grid)


def ours(day: SimulatedDay, start: RigidTransform) -> DisplacementField:
    return register_deformable(day.fixed, day.moving, start=start)


def working(day: SimulatedDay, start: RigidTransform) -> tuple[Grid, sitk.Image, sitk.Image]:
    own = day.fixed.grid
    counts = [round(count * step / SPACING_MM) for count, step in zip(own.shape[::-1], own.spacing_mm, strict=True)]
    grid = Grid(own.origin_mm, (SPACING_MM,) * 3, (counts[2], counts[1], counts[0]))
    still = RigidTransform(np.eye(4))
    one = moved(np.nan_to_num(day.fixed.hu, nan=AIR_HU), own, grid, still, outside=AIR_HU)
    other = moved(day.moving.hu, day.moving.grid, grid, start, outside=AIR_HU)
    return grid, itk_image(sitk, one, grid), itk_image(sitk, other, grid)


def after(start: RigidTransform, grid: Grid, transform: sitk.Transform) -> DisplacementField:
    like = itk_image(sitk, np.zeros(grid.shape, np.float32), grid)
    found = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, like.GetSize(), like.GetOrigin(), like.GetSpacing(), like.GetDirection()
    )
    own = sitk.GetArrayFromImage(found).astype(np.float32)
    rigid_mm = DisplacementField.of_rigid(start, grid).displacement_mm
    return DisplacementField(grid, (rigid_mm + own @ start.matrix[:3, :3].T).astype(np.float32))


def plain_demons(day: SimulatedDay, start: RigidTransform) -> DisplacementField:
    grid, fixed, moving = working(day, start)
    moving = sitk.HistogramMatching(moving, fixed, 1024, 7, True)
    demons = sitk.DemonsRegistrationFilter()
    demons.SetNumberOfIterations(20)
    demons.SetStandardDeviations(1.0)
    field = None
    for factor in (4, 2, 1):
        pair = [
            sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, 0.5 * factor * SPACING_MM), [factor] * 3)
            for image in (fixed, moving)
        ]
        initial = [] if field is None else [sitk.Resample(field, pair[0])]
        field = demons.Execute(*pair, *initial)
    return after(start, grid, sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64)))


def bspline(day: SimulatedDay, start: RigidTransform) -> DisplacementField:
    grid, fixed, moving = working(day, start)
    mesh = [max(1, round(count * SPACING_MM / 50.0)) for count in fixed.GetSize()]
    transform = sitk.BSplineTransformInitializer(fixed, mesh, 3)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.05, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=50)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return after(start, grid, transform)


WAYS: dict[str, Way] = {"rigid": rigid, "ours": ours, "SimpleITK demons": plain_demons}


def run(arguments: argparse.Namespace, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {(row["patient"], row["scenario"], row["image"], row["way"]) for row in read(path)}
    ways = {**WAYS, "SimpleITK B-spline": bspline} if arguments.bspline else WAYS
    for scenario in arguments.scenarios:
        for image in arguments.images:
            for number in arguments.patients:
                missing = [way for way in ways if (number, scenario, image, way) not in done]
                if not missing:
                    continue
                day = simulated(patient(number), scenario, image, 100 * number + SCENARIOS.index(scenario))
                filled = np.nan_to_num(day.fixed.hu, nan=AIR_HU)
                start = register_rigid(filled, day.fixed.grid, day.moving.hu, day.moving.grid)
                for way in missing:
                    began = time.process_time()
                    field = ways[way](day, start)
                    row = {"patient": number, "scenario": scenario, "image": image, "way": way}
                    row |= {"cpu_s": time.process_time() - began, "truth": asdict(truth_of(day, field))}
                    with path.open("a") as file:
                        file.write(json.dumps(row) + "\n")


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


FIGURES: dict[str, Callable[[dict], float]] = {
    "TRE median, mm": lambda row: row["truth"]["tre_median_mm"],
    "TRE 95 %, mm": lambda row: row["truth"]["tre_95_mm"],
    "Dice parotids": lambda row: least(row["truth"]["dice"], "Parotid"),
    "Dice targets": lambda row: least(row["truth"]["dice"], "PTV"),
    "surface 95 %, mm": lambda row: max(row["truth"]["surface_95_mm"].values(), default=float("nan")),
    "folded": lambda row: row["truth"]["folded"],
    "CPU s": lambda row: row["cpu_s"],
}


def least(dice: dict[str, float], prefix: str) -> float:
    return min((value for name, value in dice.items() if name.startswith(prefix)), default=float("nan"))


def report(rows: list[dict]) -> Iterator[Table]:
    for image, scenario in dict.fromkeys((row["image"], row["scenario"]) for row in rows):
        chosen = [row for row in rows if (row["image"], row["scenario"]) == (image, scenario)]
        table = Table("way", "cases", *FIGURES, title=f"{scenario}, {image}: median (5 %, 95 %) over patients")
        for way in dict.fromkeys(row["way"] for row in chosen):
            own = [row for row in chosen if row["way"] == way]
            cells = []
            for figure in FIGURES.values():
                low, middle, high = np.nanpercentile([figure(row) for row in own], [5, 50, 95])
                cells.append(f"{middle:.2f} ({low:.2f}, {high:.2f})")
            table.add_row(way, str(len(own)), *cells)
        yield table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, nargs="+", default=list(PATIENTS))
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["all", "bumps"])
    parser.add_argument("--images", nargs="+", choices=IMAGES, default=["CT", "cone beam"])
    parser.add_argument("--bspline", action="store_true")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    path = arguments.out / "registration.jsonl"
    if not arguments.report:
        run(arguments, path)
    for table in report(read(path)):
        Console(width=170).print(table)


if __name__ == "__main__":
    main()
