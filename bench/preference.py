"""Does the preference model find what physicians want, how soon, and is its probability true? THE PHYSICIANS ARE
SIMULATED.

    ./build.sh bench preference [--patients 120] [--plans 14] [--newcomers 16] [--apart 0.5]

Plans are reference doses of OpenKBP patients, changed as plans differ (preference_plans_problem.py); each simulated
physician approves with a probability that a known set of weights gives, answers at random in 2 % of the cases, and
names as reason what weighs most against a plan. Eight make up a clinic, with 60 decisions each. Then newcomers to the
clinic decide, on the same patients; everything is judged on 40 other patients. Compared: our model (clinic's prior,
then the newcomer's own decisions, with and without reasons), a logistic regression of the newcomer's decisions alone
(scipy, the same penalty), one logistic regression for everybody, and the true weights. Intervals: 95 %, bootstrap over
newcomers and patients. Nothing here says how real physicians decide, or how their decisions would be predicted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from preference_people_problem import Physician, clinic
from preference_plans_problem import OPENKBP, plans
from scipy.optimize import isotonic_regression, minimize

from appliance.contracts.preference import PlanFeatures, PreferenceExample
from appliance.evaluation.preference import fit_model
from appliance.evaluation.preference.evidence import VERDICTS, evidence_of, row_of
from appliance.evaluation.preference.fit import HYPERPRIOR, held_out_predictions, unique
from appliance.evaluation.preference.model import PreferenceModel
from appliance.evaluation.preference.predict import predict
from appliance.evaluation.preference.watch import watch
from engines.preference import Gaussian, posterior
from engines.statistics import area_under_curve, expected_calibration_error, proper_scores

Vector = NDArray[np.float64]
OWN = (0, 1, 2, 5, 10, 20, 40, 80, 160, 300)
MEMBERS, OF_MEMBER, TEST_PATIENTS = 8, 60, 40
WITHIN, RUNS, WATCHED = 0.02, 400, 80
METHODS = ("ours", "ours, no reasons", "from scratch", "pooled", "true weights")


def logistic(rows: Vector, approved: Vector, deviation: Vector) -> Vector:
    """The baseline: ridge logistic regression by L-BFGS."""
    sign = np.where(approved, 1.0, -1.0)

    def cost(theta: Vector) -> tuple[float, Vector]:
        margin = sign * (rows @ theta)
        slope = -rows.T @ (sign / (1.0 + np.exp(margin)))
        return float(np.logaddexp(0.0, -margin).sum() + 0.5 * np.sum((theta / deviation) ** 2)), slope + theta / (
            deviation**2
        )

    return np.asarray(minimize(cost, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x)


def design(examples: Sequence[PreferenceExample], typical: Sequence[float]) -> tuple[Vector, Vector]:
    chosen = [example for example in examples if example.decision in VERDICTS]
    rows = np.array([row_of(example.plan, typical) for example in chosen]).reshape(len(chosen), len(typical) + 1)
    return rows, np.array([example.decision is VERDICTS[0] for example in chosen], np.bool_)


def sigma(x: Vector) -> Vector:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60, 60)))


def moderated(belief: Gaussian, rows: Vector, temperature: float) -> Vector:
    return np.array([predict(belief, row).calibrated(temperature)[0] for row in rows])


def learning_curves(
    model: PreferenceModel,
    members: Sequence[PreferenceExample],
    people: Sequence[Physician],
    train: Sequence[PlanFeatures],
    test: Vector,
) -> dict[str, Vector]:
    """Probabilities (sizes, newcomers, test plans) by each method."""
    typical, deviation = model.typical, HYPERPRIOR.deviation
    clinic_rows, clinic_said = design(members, typical)
    found: dict[str, list[list[Vector]]] = {name: [] for name in METHODS}
    order = np.random.default_rng(17)
    decided = [[p.decide(train[i]) for i in order.permutation(len(train))[: OWN[-1]]] for p in people]
    for size in OWN:
        of_size: dict[str, list[Vector]] = {name: [] for name in METHODS}
        for person, sequence in zip(people, decided, strict=True):
            own = sequence[:size]
            rows, said = design(own, typical)
            both = np.concatenate((clinic_rows, rows)), np.concatenate((clinic_said, said))
            bare = [replace(example, reasons=()) for example in own]
            prior = model.clinic.gaussian
            of_size["ours"].append(moderated(posterior(prior, evidence_of(own, typical)), test, model.temperature))
            of_size["ours, no reasons"].append(
                moderated(posterior(prior, evidence_of(bare, typical)), test, model.temperature)
            )
            of_size["from scratch"].append(sigma(test @ logistic(rows, said, deviation)))
            of_size["pooled"].append(sigma(test @ logistic(*both, deviation)))
            of_size["true weights"].append(person.probabilities(test, typical))
        for name in METHODS:
            found[name].append(of_size[name])
    return {name: np.array(values) for name, values in found.items()}


def resampled(random: np.random.Generator, people: int, patients: int, each: int) -> tuple[Vector, Vector]:
    """(indices of newcomers, indices of test plans) drawn with replacement, plans by patient."""
    drawn = random.integers(patients, size=patients)
    return random.integers(people, size=people), (drawn[:, None] * each + np.arange(each)).ravel()


def scores(probability: Vector, said: Vector) -> tuple[float, float, float, float]:
    """(accuracy, AUC, Brier, calibration error) over all newcomers; the AUC is the mean over newcomers."""
    flat = proper_scores(probability.ravel(), said.ravel())
    areas = [area_under_curve(p, s) for p, s in zip(probability, said, strict=True)]
    auc = float(np.mean([area.value for area in areas if area is not None]))
    return flat.accuracy, auc, flat.brier, expected_calibration_error(probability.ravel(), said.ravel())


def print_scores(curves: dict[str, Vector], said: Vector, patients: int, each: int) -> None:
    random = np.random.default_rng(3)
    draws = [resampled(random, said.shape[0], patients, each) for _ in range(100)]
    print("| own decisions | method | accuracy | AUC | Brier | calibration error |\n|---|---|---|---|---|---|")
    for size in (0, 10, 40, 160, 300):
        for name in METHODS:
            if name == "true weights" and size != OWN[-1]:
                continue
            chosen = curves[name][OWN.index(size)]
            value = scores(chosen, said)
            spread = np.array([scores(chosen[np.ix_(*draw)], said[np.ix_(*draw)]) for draw in draws])
            low, high = np.quantile(spread, (0.025, 0.975), axis=0)
            cells = [f"{v:.3f} ({a:.3f} to {b:.3f})" for v, a, b in zip(value, low, high, strict=True)]
            print(f"| {size} | {name} | {' | '.join(cells)} |")


def needed(accuracy: Vector, asymptote: float) -> float:
    """Own decisions from which on the accuracy stays within WITHIN of the asymptote; infinite where it never does."""
    short = np.flatnonzero(accuracy < asymptote - WITHIN)
    if not len(short):
        return float(OWN[0])
    return float(OWN[short[-1] + 1]) if short[-1] + 1 < len(OWN) else np.inf


def print_needed(curves: dict[str, Vector], said: Vector, patients: int, each: int) -> None:
    """The asymptote is our model's accuracy with all decisions, in the same resample."""
    right = {name: (values >= 0.5) == said for name, values in curves.items()}
    print(f"\nAccuracy by own decisions {OWN}:")
    for name in METHODS:
        print(f"  {name:18s} " + " ".join(f"{value:.3f}" for value in right[name].mean(axis=(1, 2))))
    random = np.random.default_rng(4)
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(RUNS):
        people, columns = resampled(random, said.shape[0], patients, each)
        drawn = {name: values[:, people][:, :, columns].mean(axis=(1, 2)) for name, values in right.items()}
        for name in METHODS:
            found[name].append(needed(drawn[name], drawn["ours"][-1]))
    whole = {name: needed(right[name].mean(axis=(1, 2)), right["ours"][-1].mean()) for name in METHODS}
    print(f"Own decisions until within {100 * WITHIN:g} points of the asymptote (95 % bootstrap):")
    for name in METHODS:
        low, high = np.quantile(found[name], (0.025, 0.975), method="nearest")
        print(f"  {name:18s} {whole[name]:g} ({low:g} to {high:g})")


def print_calibration(model: PreferenceModel, members: Sequence[PreferenceExample], fresh: Sequence[PreferenceExample]
                      ) -> None:  # fmt: skip
    """Raw, temperature and isotonic, fitted on the same held-out decisions, judged on decisions nobody had seen."""
    held = held_out_predictions(unique(members))
    order = np.argsort([one.logit for one in held])
    steps = isotonic_regression(np.array([float(held[i].approved) for i in order])).x
    edges = np.array([held[i].logit for i in order])
    rows, said = design(fresh, model.typical)
    logit = np.array([predict(model.belief(e.physician), row).logit for e, row in zip(fresh, rows, strict=True)])
    stairs = np.clip(np.interp(logit, edges, steps), 0.01, 0.99)
    print(f"\nClinic members, {len(fresh)} fresh decisions (calibrated on {len(held)} held-out ones):")
    for name, p in (("raw", sigma(logit)), ("temperature", sigma(logit / model.temperature)), ("isotonic", stairs)):
        found = proper_scores(p, said)
        error = expected_calibration_error(p, said)
        print(f"  {name:12s} calibration error {error:.3f}, log-loss {found.log_loss:.3f}, Brier {found.brier:.3f}")
    print("  calibration curve on held-out decisions (predicted -> approved, count):")
    held_out = model.held_out
    if held_out is not None:
        print("   " + "; ".join(f"{p:.2f} -> {o:.2f} ({n})" for p, o, n in held_out.curve))


def print_intervals(model: PreferenceModel, people: Sequence[Physician], test: Vector) -> None:
    inside = []
    for person in people:
        truth = person.probabilities(test, model.typical)
        for row, p in zip(test, truth, strict=True):
            _, low, high = predict(model.belief(person.name), row).calibrated(model.temperature)
            inside.append(low <= p <= high)
    print(f"\n90 % credible intervals hold the true probability in {np.mean(inside):.0%} of {len(inside)} predictions")


def print_watch(model: PreferenceModel, people: Sequence[Physician], test: Sequence[PlanFeatures]) -> None:
    """Alarms of a physician who stays as he was, and of one who turns from organs to targets."""
    random = np.random.default_rng(9)
    for name, turned in (("unchanged", False), ("turned round", True)):
        alarms, delays, flagged = 0, [], 0
        for run in range(WATCHED):
            person = people[run % len(people)]
            person = person.turned() if turned else person
            decided = [person.decide(test[i]) for i in random.integers(len(test), size=model.drift_horizon)]
            report = watch(model, decided)
            at = report.drift[0].alarm_at
            alarms += bool(at)
            delays += [sorted(example.decided_utc for example in decided).index(at)] if at else []
            flagged += any(check.flagged for check in report.groups)
        delay = f", after {np.median(delays):.0f} decisions (median)" if delays else ""
        print(
            f"  {name}: drift alarm in {alarms} of {WATCHED} sequences of {model.drift_horizon}{delay}; bias flag in "
            f"{flagged}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Preference model on simulated physicians.")
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--plans", type=int, default=14)
    parser.add_argument("--newcomers", type=int, default=16)
    parser.add_argument("--apart", type=float, default=0.5, help="how much physicians differ (log of a factor)")
    asked = parser.parse_args()
    if not OPENKBP.exists():
        print("The OpenKBP patients are not at hand; there are no plans to decide on.")
        return 0
    begin = time.process_time()
    pool = plans(asked.patients, asked.plans)
    print(f"{len(pool)} OpenKBP patients, {asked.plans} plans each ({time.process_time() - begin:.0f} CPU s).")
    print("THE PHYSICIANS ARE SIMULATED: this says how the model learns, not how physicians decide.")
    begin = time.process_time()
    report(pool, asked.plans, asked.newcomers, asked.apart)
    print(f"\n{time.process_time() - begin:.0f} CPU s besides the plans")
    return 0


def report(pool: Sequence[Sequence[PlanFeatures]], each: int, count: int, apart: float) -> None:
    """The last TEST_PATIENTS patients are for judging alone."""
    train = [plan for of_patient in pool[:-TEST_PATIENTS] for plan in of_patient]
    kept = [plan for of_patient in pool[-TEST_PATIENTS:] for plan in of_patient]
    people = clinic(train, MEMBERS + count, apart=apart)
    members, newcomers = people[:MEMBERS], people[MEMBERS:]
    random = np.random.default_rng(2)
    decided = [
        member.decide(train[index], case=str(index // each))
        for member in members
        for index in random.choice(len(train), OF_MEMBER, replace=False)
    ]
    begin = time.process_time()
    model = fit_model(decided, made_by="bench")
    spent = time.process_time() - begin
    print(
        f"Clinic of {MEMBERS}, {OF_MEMBER} decisions each, fitted and tested in {spent:.1f} CPU s; temperature "
        f"{model.temperature:.2f}, acceptable: {model.changes.acceptable}"
    )
    test = np.array([row_of(plan, model.typical) for plan in kept])
    curves = learning_curves(model, decided, newcomers, train, test)
    said = np.array([[person.says(plan) for plan in kept] for person in newcomers])
    print(f"{count} newcomers, {len(kept)} plans of {TEST_PATIENTS} other patients; {said.mean():.0%} approved\n")
    print_scores(curves, said, TEST_PATIENTS, each)
    print_needed(curves, said, TEST_PATIENTS, each)
    print_calibration(model, decided, [member.decide(plan) for member in members for plan in kept[::2]])
    print_intervals(model, members, test)
    print_watch(model, members, kept)


if __name__ == "__main__":
    sys.exit(main())
