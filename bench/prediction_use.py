"""What a predicted dose is worth to the planner: the same patients planned without one, with the network's, and with
the reference dose itself in the place of a prediction.

    ./build.sh bench prediction_use [--patients 34 66] [--kinds none network reference]
        [--algorithm pencil_beam] [--fluence [--thin 4]] [--json FILE]

Plans the ten OpenKBP patients named in the data's README, or those that are asked for, where they are at hand; prints
of each plan goals met, the planner's score, hottest 0.1 cc, calls of the planning system, evaluations of the merit and
CPU seconds, and the medians over the patients. The network's dose is predicted as in a session (not counted).
The reference dose is an upper bound of what a prediction of such plans can be worth, not of what any prediction can:
those plans meet fewer goals than ours do.

Patients up to 200 trained the network, which is why its doses of them are better than of new ones; those from 201 on
did not, and are marked. --json keeps every plan's figures and leaves out what the file has already, so that runs add
up. --fluence looks at what could be had, before apertures, on samples that --thin makes fewer: a tenth of the time.
Exit code 1 where plans with the network's dose meet fewer goals in all than those without.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.builtin import import_openkbp
from appliance.builtin.packed import read_packed
from appliance.case import assemble
from appliance.config import Config, PlanningConfig
from appliance.contracts import (
    CalculatedDose,
    Case,
    GoalSet,
    Objectives,
    Plan,
    PlanningState,
    PredictedBand,
    PredictedDose,
)
from appliance.contracts.progress import silent
from appliance.errors import PlanningError
from appliance.evaluation import goal_set_for_site, goals_for_case
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.evaluation.judged import Judged, Regions, goal_value
from appliance.execution import Guide, plan_case
from appliance.execution.operator import Operator
from appliance.execution.planner import plan_fluence
from appliance.execution.score import is_organ, score
from appliance.planning import PhotonTps
from appliance.session_guide import guide_for
from appliance.session_headless import read_case
from appliance.session_predict import predict_case
from appliance.session_work import prescribed
from engines.dvh import DoseVolume

OPENKBP = Path(__file__).resolve().parents[2] / "shared" / "openkbp"
PATIENTS = (34, 66, 17, 100, 96, 157, 197, 193, 54, 136)
TRAINED_UNTIL = 200
KINDS = ("none", "network", "reference")
METRIC_SHARE = 0.6
"""Error of a metric of a structure, of that of a voxel: 1.5 to 1.9 Gy of mean doses of 2.8 Gy (models/dose/CARD.md)."""
REFERENCE_GY = 0.5
"""What the reference dose is taken to be uncertain by."""
VOLUMES_PERCENT = np.arange(100.0, -1.0, -2.0)
COUNTED = ("imitate", "optimise_fluence", "sequence", "refine", "judge")


class CountingTps(PhotonTps):
    """Counts what it is asked, evaluations of the merit and CPU seconds of each."""

    def __init__(self, case: Case, goal_set: GoalSet, config: PlanningConfig, thin: int) -> None:
        super().__init__(case, goal_set, config, thin=thin)
        self.reset()

    def reset(self) -> None:
        self.calls, self.cpu_s = dict.fromkeys(COUNTED, 0), dict.fromkeys(COUNTED, 0.0)
        self.evaluations = 0

    def imitate(self, dose_gy: NDArray[np.float32]) -> PlanningState:
        return self._counted("imitate", super().imitate, dose_gy)

    def optimise_fluence(self, objectives: Objectives) -> PlanningState:
        return self._counted("optimise_fluence", super().optimise_fluence, objectives)

    def sequence(self, objectives: Objectives) -> PlanningState:
        return self._counted("sequence", super().sequence, objectives)

    def refine(self, objectives: Objectives) -> PlanningState:
        return self._counted("refine", super().refine, objectives)

    def judge(self) -> PlanningState:
        return self._counted("judge", super().judge)

    def _counted(self, name: str, asked: Callable[..., PlanningState], *arguments: object) -> PlanningState:
        start = time.process_time()
        state = asked(*arguments)
        self.cpu_s[name] += time.process_time() - start
        self.calls[name] += 1
        self.evaluations += state.iterations
        return state


def packed_of(number: int) -> Path:
    return OPENKBP / ("train" if number <= TRAINED_UNTIL else "valid") / f"pt_{number}.npz"


class Patient:
    """One imported patient with its goals. Its planning system is made anew for each plan; for fluences, which leave
    nothing behind, it is made once."""

    def __init__(self, number: int) -> None:
        self.number, self.packed = number, packed_of(number)
        with tempfile.TemporaryDirectory(prefix="couchside-bench-") as scratch:
            study = Path(scratch) / "study"
            import_openkbp(self.packed, study)
            case = assemble(read_case(study)[0])
        self.goal_set = goals_for_case(goal_set_for_site("openkbp"), case)
        self.case = prescribed(case, self.goal_set)
        self._tps: CountingTps | None = None

    def tps(self, asked: argparse.Namespace) -> CountingTps:
        if self._tps is None or not asked.fluence:
            config = PlanningConfig.model_validate({"algorithm": asked.algorithm})
            self._tps = CountingTps(self.case, self.goal_set, config, asked.thin)
        self._tps.forget()
        self._tps.reset()
        return self._tps


def as_prediction(case: Case, dose_gy: NDArray[np.float32], half_gy: float, model: str) -> PredictedDose:
    """A dose (z, y, x) on the image grid, uncertain by so many Gy (80 %) in every voxel."""
    regions, bands = Regions(case), []
    for structure in case.structures:
        if structure.voxels.empty:
            continue
        region = regions.region(structure.tg263)
        volume = DoseVolume.of(dose_gy.reshape(-1)[region.index], region.cc)
        doses = np.asarray([volume.dose_at_percent(float(v)) for v in VOLUMES_PERCENT], np.float32)
        half = np.float32(METRIC_SHARE * half_gy)
        low = np.maximum(doses - half, 0)
        bands.append(PredictedBand(structure.tg263, VOLUMES_PERCENT.astype(np.float32), low, doses, doses + half))
    half_width = np.full(dose_gy.shape, half_gy, np.float32)
    return PredictedDose(case.image.grid, dose_gy, half_width, 2 * half_width, model, (), tuple(bands))


def guided(kind: str, patient: Patient) -> Guide | None:
    """None without a prediction, and where it was refused, which is printed."""
    if kind == "none":
        return None
    predicted = network_dose(patient) if kind == "network" else reference_dose(patient)
    if predicted is None:
        return None
    try:
        return guide_for(patient.case, patient.goal_set, predicted)
    except PlanningError as error:
        print(f"    not used: {error.fields['reason']}", flush=True)
        return None


def network_dose(patient: Patient) -> PredictedDose | None:
    """As a session predicts it; None where it is refused, which is printed."""
    found = predict_case(Config(), patient.case, patient.goal_set, silent)
    if found.dose is None:
        print(f"    not predicted: {'; '.join(found.reasons)}", flush=True)
    return found.dose


def reference_dose(patient: Patient) -> PredictedDose:
    found = read_packed(patient.packed).dose_gy
    if found is None:
        sys.exit(f"{patient.packed.name} has no reference dose")
    return as_prediction(patient.case, found, REFERENCE_GY, "reference")


def planned(patient: Patient, kind: str, asked: argparse.Namespace) -> dict[str, Any]:
    """A whole plan, judged on its final dose; with --fluence what could be had, judged on the planner's samples."""
    case, goal_set = patient.case, patient.goal_set
    guide = guided(kind, patient)
    tps, notes = patient.tps(asked), list[str]()
    start = time.process_time()
    if asked.fluence:
        state = plan_fluence(Operator(tps, goal_set), guide)[2]
    else:
        plan, dose = plan_case(tps, goal_set, note=notes.append, guide=guide)
        state = judged_state(case, goal_set, plan, dose)
    cpu_s = time.process_time() - start
    pairs = list(zip(goal_set.goals, state.goal_values, strict=True))
    return {
        "patient": patient.number,
        "kind": kind,
        "stage": "fluence" if asked.fluence else "plan",
        "algorithm": asked.algorithm,
        "thin": asked.thin,
        "met": sum(goal.met_by(value) for goal, value in pairs),
        "goals": len(pairs),
        "missed": [f"{goal}: {value:.2f}" for goal, value in pairs if not goal.met_by(value)],
        "score": score(goal_set, state),
        "hottest_gy": state.hottest_gy,
        "organs_gy": statistics.fmean(value for goal, value in pairs if is_organ(goal_set, goal)),
        "mu": None if math.isnan(state.mu) else state.mu,
        "values": [round(value, 3) for value in state.goal_values],
        "calls": sum(tps.calls.values()),
        "evaluations": tps.evaluations,
        "cpu_s": cpu_s,
        "each": tps.calls,
        "each_cpu_s": {name: round(seconds, 2) for name, seconds in tps.cpu_s.items()},
        "notes": notes,
    }


def judged_state(case: Case, goal_set: GoalSet, plan: Plan, dose: CalculatedDose) -> PlanningState:
    """Of the calculated dose on the image grid, as the evaluation sees it."""
    dose_gy, _ = dose_on_image(dose, case.image.grid)
    judged = Judged(Regions(case), dose_gy)
    values = tuple(goal_value(goal, judged.volume(goal.structure)) for goal in goal_set.goals)
    hottest_gy = judged.reached(case.external.tg263).dose_at_volume(0.1)
    return PlanningState(values, 0.0, hottest_gy, 0, "full", sum(beam.mu for beam in plan.beams))


def tell(run: dict[str, Any]) -> None:
    print(
        f"OpenKBP {run['patient']}, {run['kind']}: {run['met']} of {run['goals']}, score {run['score']:.2f}, "
        f"{run['evaluations']} evaluations, {run['cpu_s']:.0f} CPU s ({run['each_cpu_s']}); missed {run['missed']}",
        flush=True,
    )


def number_of(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def median_of(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return number_of(statistics.median(known) if known else None)


def show(runs: list[dict[str, Any]], kinds: list[str]) -> None:
    columns = (("met", "goals met"), ("score", "score"), ("organs_gy", "organs, Gy"), ("hottest_gy", "hottest, Gy"),
               ("mu", "MU"), ("calls", "calls"), ("evaluations", "evaluations"), ("cpu_s", "CPU s"))  # fmt: skip
    print("| patient | prediction | " + " | ".join(title for _, title in columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    for run in sorted(runs, key=lambda r: (r["patient"], kinds.index(r["kind"]))):
        cells = [f"{run['met']} of {run['goals']}", *(number_of(run[key]) for key, _ in columns[1:])]
        mark = "" if run["patient"] <= TRAINED_UNTIL else " (held out)"
        print(f"| {run['patient']}{mark} | {run['kind']} | " + " | ".join(cells) + " |")
    complete = {r["patient"] for r in runs}
    for kind in kinds:
        complete &= {r["patient"] for r in runs if r["kind"] == kind}
    for kind in kinds if complete else ():
        own = [r for r in runs if r["kind"] == kind and r["patient"] in complete]
        cells = [f"{sum(r['met'] for r in own)} of {sum(r['goals'] for r in own)}"]
        cells += [median_of([r[key] for r in own]) for key, _ in columns[1:]]
        print(f"| median of {len(own)} | {kind} | " + " | ".join(cells) + " |")


def wanted_of(number: int, asked: argparse.Namespace, done: set[tuple[int, str]]) -> list[str]:
    """What is to be planned for a patient, without what is known and what is not at hand, which is printed."""
    if not packed_of(number).exists():
        print(f"OpenKBP {number}: left out, {packed_of(number).name} is not at hand")
        return []
    return [kind for kind in asked.kinds if (number, kind) not in done]


def measured(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """What --json knows and what it lacks of the patients and kinds asked for."""
    runs: list[dict[str, Any]] = json.loads(asked.json.read_text("utf-8")) if asked.json and asked.json.exists() else []
    done = {(run["patient"], run["kind"]) for run in runs}
    for number in asked.patients:
        if not (wanted := wanted_of(number, asked, done)):
            continue
        patient = Patient(number)
        for kind in wanted:
            runs.append(planned(patient, kind, asked))
            tell(runs[-1])
            if asked.json:
                asked.json.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description="What a predicted dose is worth to the planner.")
    parser.add_argument("--patients", nargs="*", type=int, default=list(PATIENTS))
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--algorithm", default="collapsed_cone", choices=("collapsed_cone", "pencil_beam"))
    parser.add_argument("--fluence", action="store_true", help="the fluence stage alone")
    parser.add_argument("--thin", type=int, default=1, help="targets and organs keep one in so many samples")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    runs = measured(asked)
    shown = [run for run in runs if run["patient"] in asked.patients and run["kind"] in asked.kinds]
    show(shown, [kind for kind in KINDS if kind in asked.kinds])
    both = {run["patient"] for run in shown if run["kind"] == "network"} & {
        run["patient"] for run in shown if run["kind"] == "none"
    }
    met = {kind: sum(r["met"] for r in shown if r["kind"] == kind and r["patient"] in both) for kind in KINDS}
    return 1 if met["network"] < met["none"] else 0


if __name__ == "__main__":
    sys.exit(main())
