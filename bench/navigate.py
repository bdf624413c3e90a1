"""Trade-off navigation: what the plans around a result cost, how fast a wish is answered, and how near the plan made of
an answer comes to what was predicted.

    ./build.sh bench navigate [--case c-shape] [--patients 34] [--algorithm pencil_beam] [--realise]

Cases are built in, or patients of OpenKBP where they are at hand. Of each a deliverable plan is made first (not
counted). Then, in CPU seconds of this process (one thread is best): the plans around it; wishes one after another, for
each goal of an organ 5 %, 15 % and 40 % less than it has, for each coverage 1 % more: the slowest and the median, and
how many can be had. With --realise the first wish that can be had by more than 2 % of its limit is made a deliverable
plan, and every goal's predicted value is printed beside the plan's.

Bars: plans around OpenKBP 34 below 20 CPU s, no answer above 2 s. Exit code 1 where one is missed."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from prediction_use import packed_of
from vmat_speed import case_of

from appliance.builtin import import_openkbp, write_study
from appliance.config import PlanningConfig
from appliance.contracts.navigation import Answer, TradeOffSet, Wish
from appliance.execution import plan_case
from appliance.execution.navigation import Navigator, parse_wish
from appliance.execution.score import is_organ
from appliance.planning import PhotonTps
from appliance.session_navigation import compared, realised, trade_offs_around
from appliance.session_stages import Reviewed
from appliance.session_traded import navigation_bytes

ANCHORS_CPU_S, ANSWER_S = 20.0, 2.0


def wishes(known: TradeOffSet) -> list[Wish]:
    found = []
    for goal, now in zip(known.goal_set.goals, known.plan_values, strict=True):
        if is_organ(known.goal_set, goal) and goal.unit == "Gy":
            found += [
                parse_wish(f"{goal.structure} {goal.metric} <= {now * part:.2f} Gy", known)
                for part in (0.95, 0.85, 0.6)
            ]
        elif not goal.caps_dose and goal.unit == "Gy":
            found.append(parse_wish(f"{goal.structure} {goal.metric} >= {now * 1.01:.2f} Gy", known))
    return found


def answers(known: TradeOffSet) -> list[tuple[Wish, Answer, float]]:
    """With the CPU seconds of each."""
    navigator, told = Navigator(known), []
    for wish in wishes(known):
        start = time.process_time()
        answer = navigator.ask(wish)
        told.append((wish, answer, time.process_time() - start))
        print(f"    {told[-1][2]:5.2f} s  {answer.sentence}")
    return told


def compare(
    reviewed: Reviewed, planning: PlanningConfig, known: TradeOffSet, told: list[tuple[Wish, Answer, float]]
) -> None:
    chosen = next(((w, a) for w, a, _ in told if a.reachable and abs(a.now - a.reached) > 0.02 * abs(a.wanted)), None)
    if chosen is None:
        print("    no wish that can be had is far enough from the plan to be made")
        return
    start = time.process_time()
    made = realised(reviewed, planning, known, chosen, lambda *_: None)
    seconds = time.process_time() - start
    print(f"    {chosen[0]}: a plan in {seconds:.1f} CPU s, hottest 0.1 cc {made.hottest_gy:.2f} Gy")
    for one, value in compared(known, chosen[1], made):
        print(f"      {one.name}: now {one.now:.2f}, predicted {one.then:.2f}, plan {value:.2f} {one.unit}")


def judge(name: str, folder: Path, site: str, asked: argparse.Namespace) -> bool:
    planning = PlanningConfig.model_validate({"algorithm": asked.algorithm})
    case, goal_set = case_of(folder, site)
    plan, dose = plan_case(PhotonTps(case, goal_set, planning), goal_set)
    reviewed = Reviewed(case, goal_set, plan, dose)
    start = time.process_time()
    known = trade_offs_around(reviewed, planning)
    anchors_s = time.process_time() - start
    size_mb = len(navigation_bytes(known)) / 1e6
    print(f"{name}: {len(known.anchors) - 1} plans around it in {anchors_s:.1f} CPU s, {size_mb:.1f} MB")
    for anchor in known.anchors[1:]:
        print(f"    {anchor.sentence}")
    told = answers(known)
    seconds = [each for _, _, each in told]
    had = f"{sum(answer.reachable for _, answer, _ in told)} of {len(told)} can be had"
    print(f"  answers: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s; {had}")
    if asked.realise:
        compare(reviewed, planning, known, told)
    return anchors_s <= ANCHORS_CPU_S and max(seconds) <= ANSWER_S


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", default=["c-shape"])
    parser.add_argument("--patients", nargs="*", type=int, default=[34])
    parser.add_argument("--algorithm", default="pencil_beam")
    parser.add_argument("--realise", action="store_true")
    asked = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
        for name in asked.case:
            write_study(name, Path(scratch) / name, day="reference")
            good &= judge(name, Path(scratch) / name, name, asked)
        for number in asked.patients:
            if not packed_of(number).is_file():
                print(f"OpenKBP {number} is not at hand and was left out")
                continue
            import_openkbp(packed_of(number), Path(scratch) / str(number))
            good &= judge(f"OpenKBP {number}", Path(scratch) / str(number), "openkbp", asked)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
