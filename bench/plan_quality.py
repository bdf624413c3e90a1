"""How good deliverable plans are: TG-119 beside published plans, ten OpenKBP patients beside the goals of OpenKBP-Opt.

    ./build.sh bench plan_quality [--technique vmat] [--algorithm collapsed_cone] [--cases c-shape] [--patients 34 66]

Plans the four TG-119 cases (reference day of the built-in studies) and the ten OpenKBP patients named in the data's
README where they are at hand, each with `couchside replan` in a process of its own, and prints of every goal its value
and of every plan monitor units, delivery time and CPU seconds. Exit code 1 where a bar is missed: each easy TG-119 goal
met and every figure inside or better than the published mean and standard deviation; 85 % of the OpenKBP-Opt goals,
hottest 0.1 cc at most 110 % of the highest prescription.

Published figures: Ezzell et al., Med Phys 36:5359 (2009), as written down in this project's list of anchors and not yet
confirmed against the paper's own tables.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.builtin import write_study

ROOT = Path(__file__).resolve().parents[1]
COUCHSIDE = [sys.executable, "-m", "appliance"]
OPENKBP = ROOT.parent / "shared" / "openkbp" / "train"
PATIENTS = (34, 66, 17, 100, 96, 157, 197, 193, 54, 136)
CASES = ("c-shape", "prostate", "head-neck", "multi-target")
GOALS_BAR, HOT_BAR = 0.85, 1.10

PUBLISHED: dict[tuple[str, str, str], tuple[float, float]] = {
    ("multi-target", "PTV_Central", "D99%"): (49.55, 1.62),
    ("multi-target", "PTV_Central", "D10%"): (54.55, 1.73),
    ("multi-target", "PTV_Superior", "D99%"): (25.16, 0.85),
    ("multi-target", "PTV_Superior", "D10%"): (34.12, 3.04),
    ("multi-target", "PTV_Inferior", "D99%"): (14.07, 1.85),
    ("multi-target", "PTV_Inferior", "D10%"): (24.18, 2.72),
    ("prostate", "PTV", "D95%"): (75.66, 0.21),
    ("prostate", "PTV", "D5%"): (81.43, 1.56),
    ("prostate", "Rectum", "D30%"): (65.36, 2.97),
    ("prostate", "Rectum", "D10%"): (73.03, 1.50),
    ("prostate", "Bladder", "D30%"): (43.94, 8.78),
    ("prostate", "Bladder", "D10%"): (62.69, 8.15),
    ("head-neck", "PTV", "D90%"): (50.28, 0.58),
    ("head-neck", "PTV", "D99%"): (47.04, 0.52),
    ("head-neck", "PTV", "D20%"): (52.99, 0.93),
    ("head-neck", "SpinalCord", "D0.1cc"): (37.41, 2.50),
    ("head-neck", "Parotid_L", "D50%"): (17.98, 1.84),
    ("head-neck", "Parotid_R", "D50%"): (17.98, 1.84),
    ("c-shape", "PTV", "D95%"): (50.10, 0.17),
    ("c-shape", "PTV", "D10%"): (54.40, 0.52),
    ("c-shape", "Core", "D10%"): (22.00, 3.14),
}
"""Mean and standard deviation in Gy by case, structure and metric."""


@dataclass(frozen=True)
class Planned:
    name: str
    card: dict[str, Any]
    cpu_s: float
    wall_s: float


def run(arguments: list[str]) -> float:
    """Runs couchside; returns its CPU seconds. Ends the benchmark with its message if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*COUCHSIDE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"couchside {arguments[0]} failed: {done.stderr[-800:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def replan(name: str, study: Path, config: Path, options: list[str]) -> Planned:
    out = study.parent / f"{study.name}-out"
    cpu_s = run(["replan", str(study), "--config", str(config), "--out", str(out), *options])
    card = json.loads((out / "scorecard.json").read_text("utf-8"))
    timeline = json.loads((out / "timeline.json").read_text("utf-8"))
    return Planned(name, card, cpu_s, float(timeline["machine_s"]))


def inside(case: str, goal: dict[str, Any]) -> str:
    """'better', 'inside' or 'WORSE' than the published mean and standard deviation; '' where nothing is published."""
    published = PUBLISHED.get((case, goal["structure"], goal["metric"]))
    if published is None:
        return ""
    mean, deviation = published
    behind = goal["value"] - mean if goal["comparator"] == "<=" else mean - goal["value"]
    verdict = "better" if behind < -deviation else "inside" if behind <= deviation else "WORSE"
    return f"{verdict} ({mean:g} +- {deviation:g})"


def show(plan: Planned, case: str = "") -> tuple[int, int, int]:
    """Prints one plan; returns goals met, goals, figures worse than published."""
    card, worse = plan.card, 0
    facts = card["plan"]
    extra = "".join(f", {key} {facts[key]:.3f}" for key in ("mcs", "mu_per_gy") if isinstance(facts.get(key), float))
    print(
        f"{plan.name}: {card['goals_met']} of {card['goals_total']} goals, hottest 0.1 cc "
        f"{card['hottest_01cc_gy']:.2f} Gy, {facts['mu']:.0f} MU{extra}, {facts['delivery_time_s']:.0f} s to deliver, "
        f"deliverable {facts['deliverable']}; {plan.cpu_s:.0f} CPU s, {plan.wall_s:.0f} s",
        flush=True,
    )
    for goal in card["goals"]:
        verdict = inside(case, goal)
        worse += verdict.startswith("WORSE")
        if case or not goal["met"]:
            limit = f"({goal['comparator']} {goal['limit']:g}) {'met' if goal['met'] else 'MISSED'}"
            print(f"    {goal['structure']} {goal['metric']} {goal['value']:.2f} {limit} {verdict}", flush=True)
    return card["goals_met"], card["goals_total"], worse


def main() -> int:
    parser = argparse.ArgumentParser(description="Quality of deliverable plans.")
    parser.add_argument("--technique", default="vmat")
    parser.add_argument("--algorithm", default="collapsed_cone")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--patients", nargs="*", type=int, default=list(PATIENTS))
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        config = Path(scratch) / "bench.toml"
        config.write_text(
            f'[planning]\ntechnique = "{arguments.technique}"\nalgorithm = "{arguments.algorithm}"\n', "utf-8"
        )
        for case in arguments.cases:
            study = Path(scratch) / case
            write_study(case, study, day="reference")
            met, goals, worse = show(replan(case, study, config, []), case)
            good = good and met == goals and not worse
        total_met = total = 0
        for number in arguments.patients:
            packed = OPENKBP / f"pt_{number}.npz"
            if not packed.exists():
                print(f"OpenKBP {number}: left out, {packed.name} is not at hand")
                continue
            study = Path(scratch) / f"pt_{number}"
            run(["import-openkbp", str(packed), "--out", str(study)])
            plan = replan(f"OpenKBP {number}", study, config, ["--site", "openkbp"])
            met, goals, _ = show(plan)
            total_met, total = total_met + met, total + goals
            good = good and plan.card["hottest_01cc_gy"] <= HOT_BAR * max(
                target["prescribed_gy"] for target in plan.card["targets"]
            )
        if total:
            print(
                f"OpenKBP: {total_met} of {total} goals, {100 * total_met / total:.1f} % (bar {100 * GOALS_BAR:.0f} %)"
            )
            good = good and total_met >= GOALS_BAR * total
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
