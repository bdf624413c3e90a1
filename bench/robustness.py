"""Seconds of a robustness evaluation: thirteen scenarios on a C-shape plan and on an OpenKBP patient with nine beams.

    ./build.sh bench robustness [--openkbp FILE.npz] [--technique vmat]

Plans each case with `couchside replan` in a process of its own (not timed), then evaluates the plan under thirteen
set-up scenarios with dose and contour errors, and again with the four check scenarios that are on by default. Printed:
CPU and wall seconds (a busy machine shows in the latter), sampled voxels, and the goal least likely to be met. Exit
code 1 where thirteen scenarios take more than 20 s on the clock.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from appliance.builtin import write_study
from appliance.cli.reviewed import reviewed
from appliance.config import Config, PlanningConfig
from appliance.contracts.robustness import ErrorModel, Robustness
from appliance.session_questions import robustness_of
from appliance.session_stages import Reviewed

ROOT = Path(__file__).resolve().parents[1]
COUCHSIDE = [sys.executable, "-m", "appliance"]
PATIENT = ROOT.parent / "shared" / "openkbp" / "train" / "pt_34.npz"
BAR_S = 20.0


def run(arguments: list[str]) -> None:
    """Runs couchside; ends the benchmark with its message if it fails."""
    done = subprocess.run([*COUCHSIDE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"couchside {arguments[0]} failed: {done.stderr[-500:]}")


def planned(study: Path, config: Path, site: str) -> Reviewed:
    out = study.parent / f"{study.name}-out"
    run(["replan", str(study), "--site", site, "--config", str(config), "--out", str(out)])
    return reviewed(str(out), study, Config())


def timed(asked: Reviewed, planning: PlanningConfig, errors: ErrorModel) -> tuple[Robustness, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = robustness_of(asked, planning, errors)
    return found, time.process_time() - cpu, time.perf_counter() - wall


def report(name: str, asked: Reviewed, planning: PlanningConfig) -> bool:
    robustness_of(asked, planning, ErrorModel(checks=0))  # kernels and tables are made once
    good = True
    for checks in (0, 4):
        found, cpu_s, wall_s = timed(asked, planning, ErrorModel(checks=checks))
        least = min(found.goals, key=lambda goal: goal.chance_met)
        bar = f" (bar {BAR_S:g} s)" if not checks else ""
        good = good and (checks > 0 or wall_s < BAR_S)
        print(
            f"{name}: {len(found.scenarios)} scenarios, {found.voxels} voxels, {len(asked.plan.beams)} beams: "
            f"{cpu_s:.1f} CPU s, {wall_s:.1f} s{bar}; least likely: {least.structure} {least.metric} "
            f"{100 * least.chance_met:.0f} %",
            flush=True,
        )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds of a robustness evaluation.")
    parser.add_argument("--openkbp", type=Path, default=PATIENT)
    parser.add_argument("--technique", default="step_and_shoot")
    arguments = parser.parse_args()
    planning = PlanningConfig(technique=arguments.technique)
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        config, study = Path(scratch) / "bench.toml", Path(scratch) / "c-shape"
        config.write_text(f'[planning]\ntechnique = "{arguments.technique}"\n', "utf-8")
        write_study("c-shape", study, day="today")
        good = report("c-shape", planned(study, config, "c-shape"), planning)
        if arguments.openkbp.exists():
            patient = Path(scratch) / "patient"
            run(["import-openkbp", str(arguments.openkbp), "--out", str(patient)])
            good = report("openkbp", planned(patient, config, "openkbp"), planning) and good
        else:
            print(f"openkbp: left out, {arguments.openkbp.name} is not at hand")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
