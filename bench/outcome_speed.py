"""CPU time of the outcome models: 30 structures on a million voxels, two plans, every shipped row that fits.

    ./build.sh bench outcome_speed

Prints CPU seconds of this process (best of five). The bar is 0.1 s for one plan.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from appliance.contracts import Case, GoalSet, Identity, Image, SourceObject, Structure, StructureKind
from appliance.evaluation.outcomes import assess_outcomes, shipped_parameters
from engines.grid import Grid, VoxelSet

SHAPE = (100, 100, 100)
STRUCTURES = 30


def _case() -> Case:
    names = dict.fromkeys(part for row in shipped_parameters().ntcp for s in row.structures for part in s.split("+"))
    names = [*names, *(f"Organ{i}" for i in range(STRUCTURES))][: STRUCTURES - 2]
    rng = np.random.default_rng(1)
    structures = [Structure(1, "External", "External", StructureKind.EXTERNAL, (), _ball(rng, 46.0))]
    structures.append(Structure(2, "PTV", "PTV", StructureKind.TARGET, (), _ball(rng, 15.0)))
    for number, name in enumerate(names, 3):
        structures.append(Structure(number, name, name, StructureKind.ORGAN, (), _ball(rng, rng.uniform(10, 20))))
    source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs.dcm"), "0" * 64)
    image = Image(Grid((0, 0, 0), (2, 2, 2), SHAPE), np.zeros(SHAPE, np.int16))
    who = Identity("", "", "", "", "1.2.6")
    return Case("0" * 64, who, "1.2.5", "HFS", image, tuple(structures), (), 35, (), source)


def _ball(rng: np.random.Generator, radius: float) -> VoxelSet:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    centre = rng.uniform(radius, 100 - radius, 3)
    inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2
    return VoxelSet.from_dense(inside.astype(np.float32))


def main() -> None:
    case = _case()
    goals = GoalSet("s", "S", "prostate", 35, (("PTV", 70.0),), (), "d")
    rng = np.random.default_rng(2)
    dose_gy = rng.uniform(0, 70, SHAPE).astype(np.float32)
    other_gy = dose_gy + np.float32(1)
    for label, scheduled in (("one plan", None), ("two plans with differences", other_gy)):
        best = np.inf
        for _ in range(5):
            begin = time.process_time()
            estimates = assess_outcomes(case, goals, dose_gy, 35, scheduled_gy=scheduled)
            best = min(best, time.process_time() - begin)
        numbers = sum(item.probability is not None for item in estimates)
        print(f"{label}: {best:.3f} CPU s, {numbers} numbers of {len(estimates)} estimates")


if __name__ == "__main__":
    main()
