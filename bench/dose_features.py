"""The dose network's input: our kernels against the training's PyTorch code and against SciPy's distance transform.

A made-up head and neck on 128 x 128 x 128 voxels of 3 mm, half of them body, three targets, seven organs. Times are CPU
seconds of the process (threads added up), the least of some runs; ratios are taken within one run. PyTorch with one
thread, where it is installed (extra 'train'); SciPy's distance_transform_edt once for each of the ten structures, as a
loop over structures does it, ours with the same limit of 60 mm that the network's distances have.

    ./build.sh bench dose_features [--side 128] [--runs 3]

Goals: whole features below 1 CPU s, distances 10 times faster than SciPy. Exit 1 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from engines.dose_features import Anatomy, Layout, features
from engines.dose_features import _dose_features as kernels

GOAL_S, GOAL_RATIO = 1.0, 10.0
LIMIT_MM = 60.0


def anatomy(side: int) -> Anatomy:
    """384 mm along each axis whatever the voxels."""
    axes = np.meshgrid(*(np.linspace(-192, 192, side, dtype=np.float32),) * 3, indexing="ij", sparse=True)

    def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
        return np.asarray(sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True)) < 1)

    body = ball((0, 0, 0), (1e6, 150, 180))
    organs = {
        "Brainstem": ball((150, 45, 0), (36, 18, 18)), "SpinalCord": ball((0, 60, 0), (180, 12, 12)),
        "Parotid_R": ball((90, 15, -75), (30, 27, 18)), "Parotid_L": ball((90, 15, 75), (30, 27, 18)),
        "Esophagus": ball((-135, 15, 0), (54, 12, 12)), "Larynx": ball((-60, -45, 0), (24, 24, 24)),
        "Bone_Mandible": ball((105, -75, 0), (24, 36, 54)),
    }  # fmt: skip
    targets = [
        (70.0, ball((30, 0, 18), (45, 30, 30))),
        (63.0, ball((0, 0, 36), (75, 42, 30))),
        (56.0, ball((0, 0, 0), (120, 48, 84))),
    ]
    ct = np.where(body, 40, -1000).astype(np.float32)
    return Anatomy(body, organs, targets, ct, (384 / side,) * 3)


def least(work: Callable[[], Any], runs: int) -> float:
    """CPU seconds of the fastest run."""
    taken = []
    for _ in range(runs):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def training_s(one: Anatomy, runs: int) -> float | None:
    try:
        import torch

        from models.dose.data import Patient
        from models.dose.features import features as training_features
    except ImportError:
        return None
    torch.set_num_threads(1)
    masks = [one.possible, *(one.organs[name] for name in Layout().organs), *(m for _, m in reversed(one.targets))]
    label = sum(mask.astype(np.uint16) << bit for bit, mask in enumerate(masks))

    def turned(volume: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(volume[::-1].transpose(1, 2, 0))

    ct = None if one.ct_hu is None else turned(one.ct_hu)
    patient = Patient("made up", turned(np.asarray(label)), ct, None, one.spacing_mm, (0, 0, 0))
    return least(lambda: training_features(patient, torch.device("cpu")), runs)


def distances_s(one: Anatomy, runs: int) -> tuple[float, float]:
    """(ours, SciPy's) CPU seconds for all structures, one thread."""
    masks = [*one.organs.values(), *(mask for _, mask in one.targets)]
    everywhere = np.ones(one.shape, np.uint8)
    out = np.empty(one.shape, np.float32)

    def ours() -> None:
        for mask in masks:
            kernels.distances(mask.view(np.uint8), True, everywhere, one.spacing_mm, LIMIT_MM, 1.0, out, 1)

    def scipys() -> None:
        for mask in masks:
            found = np.minimum(distance_transform_edt(~mask, one.spacing_mm), LIMIT_MM)
        assert np.abs(found - out).max() < 1e-3

    mine = least(ours, runs)
    return mine, least(scipys, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Times the dose network's input.")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    one = anatomy(asked.side)
    whole = {threads: least(lambda threads=threads: features(one, threads=threads, multiple=16), asked.runs)
             for threads in (1, 2)}  # fmt: skip
    mine, scipys = distances_s(one, asked.runs)
    training = training_s(one, 1)
    told = {
        "side": asked.side,
        "voxels where dose is possible": int(one.possible.sum()),
        "features_cpu_s_one_thread": round(whole[1], 3),
        "features_cpu_s_two_threads": round(whole[2], 3),
        "training_cpu_s": None if training is None else round(training, 3),
        "times_faster_than_training": None if training is None else round(training / whole[1], 1),
        "distances_cpu_s": round(mine, 4),
        "scipy_distances_cpu_s": round(scipys, 3),
        "times_faster_than_scipy": round(scipys / mine, 1),
    }
    print(json.dumps(told, indent=1))
    missed = whole[1] > GOAL_S or scipys / mine < GOAL_RATIO
    print("a goal is missed" if missed else "both goals are met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
