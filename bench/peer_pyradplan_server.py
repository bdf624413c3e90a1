"""pyRadPlan 0.5.0 as a planning system that is asked over pipes (peer_wire.py). Runs in bench/.venv-pyradplan only;
outside_tps.py starts it. It computes its dose influence matrix once, when it gets the case, and then optimises what it
is told with its own problem, objectives and solver (L-BFGS-B), from its last weights where that is wanted.

Its machine file (photons_Generic, 6 MV) and SVD pencil beam with defaults; beamlets of BEAMLET_MM. Overlaps are not
removed: a region has the voxels it was given.

Of our objectives these have one of its own, with the same value where both are above zero: squared deviation, overdose
and underdose; mean dose (its is two-sided: a mean below the dose is drawn up as well); most and least volume at a dose.
There is none for a limit that falls with the distance from the target (fall-off), none voxel by voxel (difference from
another dose), and its EUD is two-sided with another exponent; these are not among the kinds that it answers with.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any, BinaryIO

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import SimpleITK as sitk
from peer_wire import Arrays, Message, packed, unpacked
from pyRadPlan import PhotonPlan, calc_dose_influence, generate_stf
from pyRadPlan.cst import StructureSet, validate_voi
from pyRadPlan.ct import validate_ct
from pyRadPlan.optimization.objectives import (
    MaxDVH,
    MeanDose,
    MinDVH,
    Objective,
    SquaredDeviation,
    SquaredOverdosing,
    SquaredUnderdosing,
)
from pyRadPlan.optimization.problems._nonlin_fluence import NonLinearFluencePlanningProblem

BEAMLET_MM = 7.0
KINDS = {
    "squared_deviation": lambda dose, _: SquaredDeviation(d_ref=dose),
    "squared_overdose": lambda dose, _: SquaredOverdosing(d_max=dose),
    "squared_underdose": lambda dose, _: SquaredUnderdosing(d_min=dose),
    "mean_dose": lambda dose, _: MeanDose(d_ref=dose),
    "dvh_max": lambda dose, volume: MaxDVH(d=dose, v_max=volume),
    "dvh_min": lambda dose, volume: MinDVH(d=dose, v_min=volume),
}


class WarmProblem(NonLinearFluencePlanningProblem):  # type: ignore[misc]
    """pyRadPlan's own problem, begun where it is told and ended after so many iterations."""

    def __init__(self, plan: Any, start: np.ndarray, iterations: int) -> None:
        super().__init__(plan)
        self.start, self.iterations = start, iterations

    def _initialize(self) -> None:
        super()._initialize()
        self.solver.max_iter = self.iterations

    def _solve(self) -> tuple[np.ndarray, dict[str, Any]]:
        self._obj_times, self._deriv_times = [], []
        return self.solver.solve(self.start)  # type: ignore[no-any-return]


def objective_of(asked: Message) -> Objective:
    objective = KINDS[asked["kind"]](asked["dose_gy"], asked["volume_percent"])
    objective.priority = asked["weight"]
    return objective


class Planner:
    """One case: image, matrix, regions by name, and the weights reached last."""

    def __init__(self, message: Message, arrays: Arrays) -> None:
        image = sitk.GetImageFromArray(arrays["hu"].astype(np.float64))
        image.SetOrigin(message["origin_mm"])
        image.SetSpacing(message["spacing_mm"])
        self.ct = validate_ct(cube_hu=image)
        body, target = arrays["body"], arrays["target"]
        self.body = self._voi("body", body, "EXTERNAL")
        cst = self._structures([self.body, self._voi("target", target, "TARGET")])
        angles, spacing = message["gantry_deg"], message["spacing_mm"]
        self.plan = PhotonPlan(machine="Generic")
        self.plan.prop_stf = {
            "gantry_angles": angles, "couch_angles": [0.0] * len(angles), "bixel_width": BEAMLET_MM,
            "iso_center": message["isocentre_mm"],
        }  # fmt: skip
        self.plan.prop_dose_calc = {"dose_grid": {"resolution": dict(zip("xyz", spacing, strict=True))}}
        self.stf = generate_stf(self.ct, cst, self.plan)
        self.dij = calc_dose_influence(self.ct, cst, self.stf, self.plan)
        if tuple(self.dij.dose_grid.dimensions[::-1]) != body.shape:
            raise ValueError(f"the dose grid {self.dij.dose_grid.dimensions} is not the image's")
        self.regions: dict[str, np.ndarray] = {}
        self.weights = self._nothing()

    def optimise(self, message: Message, arrays: Arrays) -> tuple[Message, Arrays]:
        start_s = time.process_time()
        shape = self.ct.size[::-1]
        for name, index in arrays.items():
            mask = np.zeros(shape, np.bool_)
            mask.ravel()[index] = True
            self.regions[name] = mask
        start = self.weights if message["warm"] else self._nothing()
        by_region: dict[str, list[Objective]] = {}
        for asked in message["objectives"]:
            by_region.setdefault(asked["region"], []).append(objective_of(asked))
        vois = [self._voi(name, self.regions[name], "OAR", own) for name, own in by_region.items()]
        self.plan.prop_opt = {"solver": "scipy", "display": False, "apply_overlap": False}
        problem = WarmProblem(self.plan, start, message["iterations"])
        weights, info = problem.solve(self.ct, self._structures(vois), self.stf, self.dij)
        self.weights = np.asarray(weights, np.float64)
        dose = np.asarray(self.dij.physical_dose.flat[0] @ self.weights, np.float32).reshape(shape)
        answer = {"merit": float(info["fun"]), "iterations": int(info["nit"]), "cpu_s": time.process_time() - start_s}
        return answer, {"dose_gy": dose}

    def _nothing(self) -> np.ndarray:
        return np.zeros(self.dij.total_num_of_bixels)

    def _voi(self, name: str, mask: np.ndarray, kind: str, objectives: list[Objective] | None = None) -> Any:
        return validate_voi(
            name=name, voi_type=kind, mask=mask.astype(np.uint8), ct_image=self.ct, objectives=objectives or []
        )  # fmt: skip

    def _structures(self, vois: list[Any]) -> StructureSet:
        return StructureSet(vois=vois, ct_image=self.ct)


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    def read(size: int) -> bytes:
        data = incoming.read(size)
        if len(data) < size:
            raise EOFError
        return data

    planner: Planner | None = None
    while True:
        try:
            message, arrays = unpacked(read)
        except EOFError:
            return
        if message["ask"] == "case":
            planner = Planner(message, arrays)
            answer = packed({"kinds": list(KINDS)})
        else:
            assert planner is not None
            answer = packed(*planner.optimise(message, arrays))
        outgoing.write(answer)
        outgoing.flush()


def main() -> None:
    logging.getLogger("pyRadPlan").setLevel(logging.ERROR)
    with os.fdopen(os.dup(1), "wb") as outgoing:
        os.dup2(2, 1)  # what libraries print must not come between messages
        serve(sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    main()
