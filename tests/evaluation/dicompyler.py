"""DVHs of the built-in TG-119 cases by dicompyler-core, a peer that shares no code with us, on a dose given by a
formula.

dicompyler_tg119.json holds what dicompyler-core 0.5.6 makes of the structure sets as DICOM and that dose as RTDOSE. It
imports nothing that pydicom 3 still has, so it lives in an environment of its own (bench/peer_dicompyler_env.sh). Run
`python -m tests.evaluation.dicompyler` from the repository's root to ask it again.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from appliance.builtin.study import BuiltinStudy, write_study
from appliance.dicomio.dose import dose_dataset
from engines.grid import Grid

STORED = Path(__file__).with_name("dicompyler_tg119.json")
BENCH = Path(__file__).resolve().parents[2] / "bench"
FINER = 4
"""The peer's dose has so many pixels for one of the image along x and y: it counts a pixel if its centre is inside a
contour, so that at the image's 2 mm the edge of a structure would be a step where we count the part inside."""
CASES = ("c-shape", "prostate", "head-neck", "multi-target")


def dose_gy(grid: Grid) -> NDArray[np.float32]:
    """70 Gy at the middle, falling like a bell and tilted, so that no two neighbouring voxels have the same dose."""
    x, y, z = grid.axes_mm()
    bell = np.exp(-((x[None, None, :] / 70) ** 2) - (y[None, :, None] / 55) ** 2 - (z[:, None, None] / 60) ** 2)
    tilt = 1 + 0.0013 * x[None, None, :] - 0.0011 * y[None, :, None] + 0.0017 * z[:, None, None]
    return (2.0 + 68.0 * bell * np.maximum(tilt, 0.1)).astype(np.float32)


def written(name: str, folder: Path) -> BuiltinStudy:
    return write_study(name, folder / name, day="reference", uid_seed="dicompyler")


def finer(grid: Grid) -> Grid:
    """The same planes with FINER x FINER pixels for one."""
    (x, y, z), (dx, dy, dz), (nz, ny, nx) = grid.origin_mm, grid.spacing_mm, grid.shape
    first = tuple(at + step * (0.5 / FINER - 0.5) for at, step in ((x, dx), (y, dy)))
    return Grid((first[0], first[1], z), (dx / FINER, dy / FINER, dz), (nz, ny * FINER, nx * FINER))


def ask_peer(name: str, folder: Path) -> dict[str, object]:
    study = written(name, folder)
    grid = finer(study.grid)
    dataset = dose_dataset(
        grid,
        dose_gy(grid),
        identity=study.identity,
        frame_of_reference_uid=study.frame_of_reference_uid,
        plan=None,
        structure_set=study.structure_set,
    )
    dataset.save_as(folder / "RD.dcm", enforce_file_format=True)
    assert dcmread(folder / "RD.dcm").Modality == "RTDOSE"
    python, out = BENCH / ".venv-dicompyler" / "bin" / "python", folder / "out.json"
    subprocess.run([python, BENCH / "peer_dicompyler.py", study.structure_set.path, folder / "RD.dcm", out], check=True)
    found: dict[str, object] = json.loads(out.read_text("utf-8"))
    return {key: value for key, value in found.items() if key != "cpu_s"}


def main() -> None:
    subprocess.run(["bash", BENCH / "peer_dicompyler_env.sh"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        answers = {name: ask_peer(name, Path(folder)) for name in CASES}
    STORED.write_text(json.dumps(answers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
