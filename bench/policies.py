"""Policies of the virtual planner on the same cases and the same number of calls of the planning system.

    ./build.sh bench policies [--patients 34 66 c-shape] [--policies template random rules pushes bayes bayes3]
        [--calls 15] [--changes 1|0] [--learned FILE.onnx] [--language-model FILE.gguf] [--deliverable
        [--algorithm pencil_beam]] [--json FILE.jsonl]

template: the first objectives, optimised on; random: three legal changes a call by lot (one with --changes 1); rules:
`execution/policies/rules.py`; pushes: every weight moved at every call, the habits of the planner without a policy;
bayes: Bayesian optimisation of weights and doses; learned: a network; language: a language model run by llama.cpp
(extra 'language'), which proposes changes within a grammar, with what it said at each call; missing without a model; a
name with 3 at its end: the same with three times the calls. 'pushes' and 'bayes' set all weights freely, whatever
--changes says.

Cases are OpenKBP patients by number (up to 200 trained the networks; 201 to 240 are held out) and built-in cases by
name. Printed of each episode, of its best step on the coarse planning system: the scorecard's score in percent, the
merit (less the price of the hot spot), goals met with the hot-spot limit counted as one, calls used, reward and CPU
seconds; then, for each policy, means, and differences from the rules on the same cases: 95 % bootstrap interval, signed
rank p, cases better and worse. --deliverable makes the deliverable plan from the best objectives too, with the full
planning system. --json appends a line for each episode and leaves out what the file has: a policy may be added later.

Exit code 1 where the rules do not beat template and random in the mean merit of the cases asked for.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from policies_problem import (
    MORE,
    Figures,
    Plans,
    Subject,
    append,
    at_hand,
    by_language,
    delivered,
    explored,
    known,
    lines_of,
)

from appliance.config import PlanningConfig
from appliance.execution.steering.episode import Terms
from engines.errors import EngineError
from engines.statistics import paired

TRAINING = ("34", "66", "17", "100", "96", "157", "197", "193", "54", "136")
NAMES = ("template", "random", "rules", "pushes", "bayes")
REFERENCE, LANGUAGE = "rules", "language"


def key_of(run: Figures) -> tuple[object, ...]:
    return run["case"], run["policy"], run["calls"], run["changes"]


def ways_of(asked: argparse.Namespace) -> dict[str, Plans]:
    """Takes the language model off the list, with the reason, where it cannot be had."""
    ways = known(asked.learned)
    if any(name.removesuffix(str(MORE)) == LANGUAGE for name in asked.policies):
        try:
            ways[LANGUAGE] = by_language(asked.language_model)
        except EngineError as error:
            print(f"{LANGUAGE}: missing, {error}")
            asked.policies = [name for name in asked.policies if name.removesuffix(str(MORE)) != LANGUAGE]
    return ways


def measured(asked: argparse.Namespace, ways: dict[str, Plans]) -> list[Figures]:
    """What --json knows and what it lacks of the cases and policies asked for."""
    done = {key_of(run): run for run in lines_of(asked.json)}
    shown = []
    for case in asked.patients:
        if not at_hand(case):
            print(f"{case}: left out, it is not at hand")
            continue
        subject: Subject | None = None
        for policy in asked.policies:
            terms = Terms(calls=asked.calls * (MORE if policy.endswith(str(MORE)) else 1), changes=asked.changes)
            run = done.get((case, policy, terms.calls, terms.changes))
            if run is None or (asked.deliverable and "plan" not in run):
                subject = subject or Subject(case)
                run = measure(subject, policy, terms, asked, ways)
                append(asked.json, run)
            tell(run)
            shown.append(run)
    return shown


def measure(subject: Subject, policy: str, terms: Terms, asked: argparse.Namespace, ways: dict[str, Plans]) -> Figures:
    run, objectives = explored(subject, policy, terms, ways[policy.removesuffix(str(MORE))])
    if asked.deliverable:
        run["plan"] = delivered(subject, objectives, PlanningConfig.model_validate({"algorithm": asked.algorithm}))
    return run


def tell(run: Figures) -> None:
    print(
        f"{run['case']:>7} {run['policy']:9s} score {run['score']:6.2f}, merit {run['merit']:6.2f}, {run['met']:2d} of "
        f"{run['goals']:2d}, hot {run['hot_percent']:+.1f} %, {run['used']} calls (best at {run['best_at']}), reward "
        f"{run['reward']:5.1f}, {run['cpu_s']:.1f} CPU s",
        flush=True,
    )
    if (plan := run.get("plan")) is not None:
        print(
            f"        plan: score {plan['score']:.2f}, {plan['met']} of {plan['goals']}, hottest "
            f"{plan['hottest_gy']:.2f} Gy, {plan['mu']:.0f} MU, {plan['delivery_s']:.0f} s, MCS {plan['mcs']:.3f}, "
            f"deliverable {plan['deliverable']}, {plan['cpu_s']:.0f} CPU s",
            flush=True,
        )
        print("        " + ", ".join(f"{name} {value:.1f}" for name, value in plan["values"].items()))


def summary(runs: Sequence[Figures], policies: Sequence[str]) -> dict[str, float]:
    """Prints it over the cases that every policy has planned; the mean merit of each policy."""
    cases = sorted(set.intersection(*({r["case"] for r in runs if r["policy"] == p} for p in policies)))
    if not cases:
        return {}
    of = {policy: {r["case"]: r for r in runs if r["policy"] == policy} for policy in policies}
    print(f"{len(cases)} cases: {' '.join(cases)}")
    print("| policy | goals met | score | merit | calls | CPU s | merit against rules (95 %) | p | better, worse |")
    print("|---|---|---|---|---|---|---|---|---|")
    for policy in policies:
        own = [of[policy][case] for case in cases]
        compared = against(own, [of.get(REFERENCE, {}).get(case) for case in cases])
        print(
            f"| {policy} | {sum(r['met'] for r in own)} of {sum(r['goals'] for r in own)} | "
            f"{mean_of(own, 'score'):.2f} | {mean_of(own, 'merit'):.2f} | "
            f"{statistics.median(r['used'] for r in own):g} | {mean_of(own, 'cpu_s'):.1f} | {compared} |"
        )
    plans(of, cases, policies)
    return {policy: mean_of([of[policy][case] for case in cases], "merit") for policy in policies}


def plans(of: dict[str, dict[str, Figures]], cases: Sequence[str], policies: Sequence[str]) -> None:
    """The deliverable plans of the same cases, where each policy has one."""
    if not all("plan" in of[policy][case] for policy in policies for case in cases):
        return
    print("| plans of | goals met | score | MU, mean | delivery, s | MCS | fewer goals than the template |")
    print("|---|---|---|---|---|---|---|")
    for policy in policies:
        own = {case: of[policy][case]["plan"] for case in cases}
        every = list(own.values())
        fewer = [c for c in cases if "template" in of and own[c]["met"] < of["template"][c]["plan"]["met"]]
        print(
            f"| {policy} | {sum(p['met'] for p in every)} of {sum(p['goals'] for p in every)} | "
            f"{mean_of(every, 'score'):.2f} | {mean_of(every, 'mu'):.0f} | {mean_of(every, 'delivery_s'):.0f} | "
            f"{mean_of(every, 'mcs'):.3f} | {' '.join(fewer) or 'none'} |"
        )


def mean_of(runs: Sequence[Figures], key: str) -> float:
    return statistics.fmean(run[key] for run in runs)


def against(own: Sequence[Figures], reference: Sequence[Figures | None]) -> str:
    """Cells of the comparison with the rules; empty for the rules themselves, and for fewer than two cases."""
    pairs = [(mine["merit"], other["merit"]) for mine, other in zip(own, reference, strict=True) if other is not None]
    if len(pairs) < 2 or own[0]["policy"] == REFERENCE:
        return "| | "
    found = paired(np.array([mine - other for mine, other in pairs]))
    return f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f}) | {found.p:.3g} | {found.better}, {found.worse}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Policies of the virtual planner on the same cases.")
    parser.add_argument("--patients", nargs="*", default=list(TRAINING), help="numbers, or names of built-in cases")
    parser.add_argument("--policies", nargs="*", default=list(NAMES))
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--changes", type=int, default=0, help="levers that one call may change; 0: any")
    parser.add_argument("--learned", type=Path, help="network of the policy 'learned'")
    parser.add_argument("--language-model", type=Path, help="GGUF file of the policy 'language'")
    parser.add_argument("--deliverable", action="store_true")
    parser.add_argument("--algorithm", default="collapsed_cone", choices=("collapsed_cone", "pencil_beam"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    ways = ways_of(asked)
    if unknown := {name.removesuffix(str(MORE)) for name in asked.policies} - ways.keys():
        parser.error(f"no policy is called {', '.join(sorted(unknown))} (the learned one needs --learned)")
    if not asked.policies:
        parser.error("no policy is left to plan with")
    means = summary(measured(asked, ways), asked.policies)
    beaten = [means[name] < means[REFERENCE] for name in ("template", "random") if {name, REFERENCE} <= means.keys()]
    return 0 if all(beaten) else 1


if __name__ == "__main__":
    sys.exit(main())
