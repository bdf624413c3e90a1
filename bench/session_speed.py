"""Seconds and memory of the main job, from the last object received to the exported (or proposed) plan.

    ./build.sh bench session_speed [--runs N] [--openkbp FILE.npz]

Runs `couchside demo --case c-shape` N times, and `couchside replan` of an imported OpenKBP patient N times where the
packed patient is at hand, each in a process of its own. Printed: medians over the runs of the seconds in timeline.json
(wall clock: a busy machine shows), of CPU seconds and of peak memory, and the goals met, beside the bars: C-shape under
45 s and 1 GiB, patient 34 under 60 s and 1.5 GiB (two cores, no GPU). Exit code 1 where a bar is missed.

The demo plans its reference day before the clock starts, in the same process: its CPU seconds count two plans, its
peak memory is the larger of both.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COUCHSIDE = [sys.executable, "-m", "appliance"]
PATIENT = ROOT.parent / "shared" / "openkbp" / "train" / "pt_34.npz"
BARS = {"c-shape": (45.0, 1024.0), "openkbp": (60.0, 1536.0)}


def run(arguments: list[str]) -> float:
    """Runs couchside; returns its CPU seconds. Ends the benchmark with its message if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*COUCHSIDE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"couchside {arguments[0]} failed: {done.stderr[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(out: Path, cpu_s: float) -> dict[str, Any]:
    timeline = json.loads((out / "timeline.json").read_text("utf-8"))
    card = json.loads((out / "scorecard.json").read_text("utf-8"))
    seconds = timeline.get("last_object_to_export_s") or timeline["machine_s"]
    return {
        "seconds": seconds,
        "cpu_s": cpu_s,
        "peak_mb": timeline["peak_memory_mb"],
        "goals": f"{card['goals_met']} of {card['goals_total']}",
        "hottest_gy": card["hottest_01cc_gy"],
        "deliverable": card["plan"]["deliverable"],
    }


def demo(folder: Path) -> dict[str, Any]:
    return measured(folder, run(["demo", "--case", "c-shape", "--out", str(folder)]))


def replan(npz: Path, folder: Path) -> dict[str, Any]:
    study, out = folder / "study", folder / "out"
    run(["import-openkbp", str(npz), "--out", str(study)])
    return measured(out, run(["replan", str(study), "--site", "openkbp", "--out", str(out)]))


def report(name: str, runs: list[dict[str, Any]]) -> bool:
    middle = {key: statistics.median(r[key] for r in runs) for key in ("seconds", "cpu_s", "peak_mb", "hottest_gy")}
    seconds_bar, memory_bar = BARS[name]
    good = middle["seconds"] < seconds_bar and middle["peak_mb"] < memory_bar
    each = ", ".join(f"{r['seconds']:.1f}" for r in runs)
    print(
        f"{name}: {middle['seconds']:.1f} s (bar {seconds_bar:g}), {middle['cpu_s']:.1f} CPU s, "
        f"{middle['peak_mb']:.0f} MB (bar {memory_bar:g}); goals {runs[-1]['goals']}, hottest 0.1 cc "
        f"{middle['hottest_gy']:.2f} Gy, deliverable {runs[-1]['deliverable']}; {len(runs)} runs: {each} s",
        flush=True,
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds and memory of the main job.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--openkbp", type=Path, default=PATIENT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        good = report("c-shape", [demo(Path(scratch) / f"demo{i}") for i in range(arguments.runs)])
        if arguments.openkbp.exists():
            runs = [replan(arguments.openkbp, Path(scratch) / f"patient{i}") for i in range(arguments.runs)]
            good = report("openkbp", runs) and good
        else:
            print(f"openkbp: left out, {arguments.openkbp.name} is not at hand")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
