"""A whole dose prediction at 128 x 128 x 128: CPU and wall seconds of each part, on one thread and on two.

    ./build.sh bench prediction [--runs N] [--threads N ...] [--backend NAME] [--patient PACKED.npz]

The patient is made up: a body as wide as the grid (voxels of 4 x 4 x 2.5 mm), with targets so tall that beams reach its
whole height, so that the network's input is 128 voxels along each side. It is like nobody, so the limits of the range
check are lifted; what the check computes is counted. --patient: a packed patient of OpenKBP instead, as it is.

Each number of threads runs in a process of its own: all parts from the case's voxels to the dose on the image's grid,
the network asked of the patient and of the mirrored patient. The peer is ONNX Runtime alone in the same process: the
same file, input and threads, two runs, nothing else; on the GPU where that is where the network ran. --backend: what
runs the network, otherwise the best that is here. Medians over the runs; opening the network is apart, because
a node does it once.

Bar: 3 s on two cores, aim 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.builtin.openkbp import import_openkbp
from appliance.case import assemble
from appliance.contracts import Case, Identity, Image, SourceObject, Structure, StructureKind
from appliance.evaluation import goal_set_for_site, goals_for_case
from appliance.prediction import Predictor, Treatment
from appliance.prediction.anatomy import network_anatomy
from appliance.prediction.opened import INPUT, MODEL, MULTIPLE, open_dose_network
from appliance.prediction.predict import MODEL_FOLDER
from appliance.registered import shipped
from appliance.session_headless import read_case
from engines.dose_features import features
from engines.grid import Grid, VoxelSet
from engines.runtime import Backend, RuntimeOptions
from engines.runtime.folders import engine_cache

RESULTS = Path(__file__).resolve().parent / "results" / "prediction.json"
SIDE = 128
GRID = Grid((-254.0, -254.0, -158.75), (4.0, 4.0, 2.5), (SIDE, SIDE, SIDE))
NINE_BEAMS = Treatment(fractions=35, gantry_deg=tuple(40.0 * n for n in range(9)))
PARTS = ("anatomy", "range", "opening", "features", "network", "interval")
BAR_S, AIM_S = 3.0, 1.0

Mask = NDArray[np.bool_]


def ball(centre_mm: tuple[float, float, float], half_mm: tuple[float, float, float]) -> Mask:
    """Ellipsoid about (z, y, x)."""
    axes = [axis.astype(np.float32) for axis in GRID.axes_mm()[::-1]]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    off = [((p - c) / h) ** 2 for p, c, h in zip((z, y, x), centre_mm, half_mm, strict=True)]
    return np.asarray(off[0] + off[1] + off[2] < 1.0)


def made_up() -> Case:
    body = ball((0, 0, 0), (1500, 256, 256))
    organs = {
        "Brainstem": ball((110, 30, 0), (28, 15, 15)), "SpinalCord": ball((-20, 40, 0), (120, 7, 7)),
        "Parotid_R": ball((60, -10, -75), (25, 17, 14)), "Parotid_L": ball((60, -10, 75), (25, 17, 14)),
        "Esophagus": ball((-110, 15, 0), (45, 9, 9)), "Larynx": ball((-40, -50, 0), (18, 18, 18)),
        "Bone_Mandible": ball((30, -90, 0), (30, 14, 34)),
    }  # fmt: skip
    free = body & ~np.logical_or.reduce(list(organs.values()))
    high = ball((0, -10, 0), (130, 45, 40)) & free
    low = ball((0, -10, 0), (150, 70, 80)) & free & ~high
    kinds = StructureKind
    masks = [("External", kinds.EXTERNAL, body), ("PTV_7000", kinds.TARGET, high), ("PTV_5600", kinds.TARGET, low)]
    masks += [(name, kinds.ORGAN, mask) for name, mask in organs.items()]
    structures = tuple(
        Structure(number, name, name, kind, (), VoxelSet.from_dense(mask.astype(np.float32)))
        for number, (name, kind, mask) in enumerate(masks, start=1)
    )
    hu = np.where(body, np.random.default_rng(1).normal(20.0, 60.0, GRID.shape), -1000.0).astype(np.int16)
    nobody = Identity("BENCH", "Bench", "", "", "2.25.1", "", "", "")
    source = SourceObject("1.2", "2.25.2", "2.25.3", "RTSTRUCT", Path("RS.dcm"), "0" * 64)
    return Case("bench", nobody, "2.25.4", "HFS", Image(GRID, hu), structures, (), 35, (), source)


def case_of(packed: Path | None, scratch: Path) -> Case:
    if packed is None:
        return made_up()
    import_openkbp(packed, scratch / "study")
    return assemble(read_case(scratch / "study")[0])


def lifted(folder: Path) -> Path:
    """The network's own files, with limits of the range check that nobody is beyond."""
    folder.mkdir()
    told = json.loads((MODEL_FOLDER / "range.json").read_text("utf-8"))
    told |= {"warn_beyond": 1e9, "refuse_beyond": 1e9}
    for group in told["groups"].values():
        group |= {"warn": 1e9, "refuse": 1e9}
    (folder / "range.json").write_text(json.dumps(told))
    shutil.copy(MODEL_FOLDER / "calibration.json", folder)
    return folder


class Parts:
    """A Progress that adds up CPU and wall seconds of each part."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self._part, self._since = "", (time.process_time(), time.perf_counter())

    def __call__(self, step: str, fraction: float, /) -> None:
        now = (time.process_time(), time.perf_counter())
        if self._part:
            self.cpu[self._part], self.wall[self._part] = (b - a for a, b in zip(self._since, now, strict=True))
        self._part, self._since = step.partition(": ")[2], (time.process_time(), time.perf_counter())


def worker(threads: int, runs: int, packed: Path | None, backend: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        case = case_of(packed, Path(scratch))
        goal_set = goals_for_case(goal_set_for_site("openkbp"), case)
        folder = MODEL_FOLDER if packed else lifted(Path(scratch) / "model")
        options = RuntimeOptions(threads=threads, cache=engine_cache())
        if backend:
            options = replace(options, backends=(Backend(backend),))
        predictor = Predictor(options, folder=folder)
        done = []
        for _ in range(runs + 1):
            parts = Parts()
            made = predictor.predict(case, goal_set, NINE_BEAMS, parts)
            if made.dose is None:
                raise SystemExit(f"prediction: {' '.join(made.reasons)}")
            parts("", 1.0)
            done.append(parts)
    ran = open_dose_network(options).network.backend
    tensor = features(network_anatomy(case, goal_set).anatomy, multiple=MULTIPLE, threads=threads).tensor
    median = statistics.median
    told = {
        name: {"cpu_s": median(p.cpu[name] for p in done[1:]), "wall_s": median(p.wall[name] for p in done[1:])}
        for name in PARTS
    }
    told["opening"] = {"cpu_s": done[0].cpu["opening"], "wall_s": done[0].wall["opening"]}
    once = {kind: sum(told[name][kind] for name in PARTS if name != "opening") for kind in ("cpu_s", "wall_s")}
    found = {"threads": threads, "backend": str(ran), "input": list(tensor.shape), "parts": told, "whole": once}
    return found | peer(tensor, threads, runs, ran)


def peer(tensor: NDArray[np.float32], threads: int, runs: int, ran: Backend) -> dict[str, object]:
    """ONNX Runtime by itself."""
    import onnxruntime

    is_cpu = ran in (Backend.ONNX_CPU, Backend.OPENVINO_CPU)
    providers = ["CPUExecutionProvider"] if is_cpu else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(shipped().verified(MODEL), options, providers=providers)
    taken = np.ascontiguousarray(tensor[: session.get_inputs()[0].shape[1]])[None]
    cpu, wall = [], []
    for _ in range(runs + 1):
        since = time.process_time(), time.perf_counter()
        for _ in range(2):
            session.run(None, {INPUT: taken})
        cpu.append(time.process_time() - since[0])
        wall.append(time.perf_counter() - since[1])
    return {"peer": {"cpu_s": statistics.median(cpu[1:]), "wall_s": statistics.median(wall[1:])}}


def show(told: dict[str, object]) -> None:
    parts, whole, other = (told[name] for name in ("parts", "whole", "peer"))
    assert isinstance(parts, dict)
    assert isinstance(whole, dict)
    assert isinstance(other, dict)
    print(f"\n{told['threads']} thread(s), {told['backend']}, input {told['input']}")
    for name in PARTS:
        once = "   (once)" if name == "opening" else ""
        print(f"  {name:<10} {parts[name]['cpu_s']:7.2f} CPU s {parts[name]['wall_s']:7.2f} s{once}")
    print(f"  {'whole':<10} {whole['cpu_s']:7.2f} CPU s {whole['wall_s']:7.2f} s")
    print(f"  {'peer':<10} {other['cpu_s']:7.2f} CPU s {other['wall_s']:7.2f} s   ONNX Runtime alone, two runs")
    print(f"  whole / peer {whole['cpu_s'] / other['cpu_s']:.2f} in CPU s; network / peer "
          f"{parts['network']['cpu_s'] / other['cpu_s']:.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--backend", default="")
    parser.add_argument("--patient", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(worker(asked.threads[0], asked.runs, asked.patient, asked.backend)))
        return
    found = []
    for threads in asked.threads:
        command = [
            sys.executable,
            "-m",
            "bench.prediction",
            "--worker",
            "--threads",
            str(threads),
            "--backend",
            asked.backend,
        ]
        command += ["--runs", str(asked.runs), *(["--patient", str(asked.patient)] if asked.patient else [])]
        limited = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=limited, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        show(found[-1])
    two = next((one for one in found if one["threads"] == 2), None)
    if two is not None and asked.patient is None:
        took = two["whole"]["wall_s"]
        print(f"\nTwo cores: {took:.2f} s; bar {BAR_S:g} s {'held' if took <= BAR_S else 'missed'}, aim {AIM_S:g} s")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
