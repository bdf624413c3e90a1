"""Seconds from an edit to the new deliverable plan and its dose, for each kind of edit, on one OpenKBP patient.

    ./build.sh bench edits [--patient 34] [--algorithm pencil_beam] [--kinds goal protect] [--keep FOLDER]

Plans the patient as a session does without a prediction (nine beams, step and shoot, default configuration; final dose
by the configured algorithm unless another is named), then applies each kind of edit to that plan: a stricter goal, a
higher priority for a missed goal, an organ protected more, coverage pushed, a hot spot removed where an isodose is.
The clock runs from the edit as a typed value to plan and dose: what is asked for is worked out, the planning system is
built anew and its kept state read, as after a restart. The judgement that follows in a session (second check,
evaluation, report) is not counted.

Printed of each: wall clock (a busy machine shows), CPU seconds, true doses and refinements, what was asked before and
after, goals met before and after, goals lost. Floor in the same run: one refinement and one true dose. --keep: the
first plan is kept there and taken from there. Exit code 1 where an edit takes CPU_BAR_S or more: BAR_S
on two cores, less a tenth that is assumed to run on one.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from prediction_use import Patient

from appliance.config import PlanningConfig
from appliance.contracts import (
    CalculatedDose,
    ChangeGoal,
    ChangePriority,
    Comparator,
    Edit,
    Isodose,
    Objectives,
    Plan,
    Planned,
    PlanningState,
    ProtectMore,
    PushCoverage,
    RemoveHotSpot,
    Revision,
    Working,
)
from appliance.evaluation import plan_scorer
from appliance.evaluation.dose_on_image import dose_on_image
from appliance.execution import plan_case
from appliance.execution.edits import Present, planning_case, planning_set
from appliance.execution.reviser import revise_plan
from appliance.execution.watch import Watch
from appliance.execution.watched import watched
from appliance.planning import PhotonTps, check_plan
from appliance.session_artefacts import Artefacts
from appliance.session_edits import present_plan, revised

BAR_S, CPU_BAR_S = 20.0, 36.0
STRICTER, COOLER_GY = 0.94, 1.0
"""The stricter goal's limit of what the organ has; the isodose below the hottest 0.1 cc."""
KINDS = ("goal", "priority", "protect", "coverage", "hot-spot")


class CountingTps(PhotonTps):
    """Counts refinements and true doses."""

    refined = judged = anew = 0

    def refine(self, objectives: Objectives) -> PlanningState:
        self.refined += 1
        return super().refine(objectives)

    def sequence(self, objectives: Objectives) -> PlanningState:
        self.anew += 1
        return super().sequence(objectives)

    def finish(self) -> tuple[Plan, CalculatedDose]:
        self.judged += self._final is None
        return super().finish()


@dataclass(frozen=True, eq=False)
class Begun:
    """The plan that every edit is applied to."""

    patient: Patient
    config: PlanningConfig
    planned: Planned
    present: Present

    def values(self) -> list[float]:
        return [self.present.value_of(goal) for goal in self.patient.goal_set.goals]


def begin(number: int, config: PlanningConfig, keep: Path | None) -> Begun:
    patient = Patient(number)
    name = f"pt_{number}_{config.algorithm}"
    known: dict[str, str] = {}
    files = None if keep is None else Artefacts(keep / name, keep, lambda: known)
    if files is not None and (files.folder / "working.npz").exists():
        for file in ("plan.json", "dose.npz", "working.npz"):
            known |= files.record(file)
        planned = Planned(files.plan(), files.dose(), working=Working.from_bytes(files.load("working.npz")))
    else:
        start = time.process_time()
        tps = PhotonTps(patient.case, patient.goal_set, config)
        plan, dose = plan_case(tps, patient.goal_set, sparing_rounds=config.sparing_rounds)
        planned = Planned(plan, dose, working=tps.working())
        print(f"planned from the goals: {time.process_time() - start:.1f} CPU s", flush=True)
        if files is not None:
            files.save_planned(planned)
    dose_gy = dose_on_image(planned.dose, patient.case.image.grid)[0]
    return Begun(patient, config, planned, present_plan(patient.case, dose_gy))


def edit_of(kind: str, begun: Begun) -> Edit | None:
    """None where the plan gives no reason for such an edit."""
    goals, values = begun.patient.goal_set.goals, begun.values()
    targets = dict(begun.patient.goal_set.prescription)
    organs = [
        i for i, goal in enumerate(goals) if goal.comparator is Comparator.AT_MOST and goal.structure not in targets
    ]
    met = [i for i in organs if goals[i].met_by(values[i])]
    if kind == "goal":
        mean = next((i for i in met if goals[i].metric.kind == "Mean"), met[0])
        goal = goals[mean]
        return ChangeGoal(goal.structure, goal.metric, goal.comparator, round(values[mean] * STRICTER, 1), "Gy")
    if kind == "priority":
        missed = [i for i in organs if not goals[i].met_by(values[i]) and goals[i].priority > 1]
        return ChangePriority(goals[missed[0]].structure, 1, goals[missed[0]].metric) if missed else None
    if kind == "protect":
        return ProtectMore(goals[met[-1]].structure)
    if kind == "coverage":
        return PushCoverage(next(iter(targets)))
    hottest = max(float(d) for d in begun.planned.dose.dose_gy.reshape(-1)[::7])
    return RemoveHotSpot(Isodose(round(hottest - COOLER_GY, 1)))


def measured(kind: str, edit: Edit, begun: Begun) -> bool:
    start, cpu = time.perf_counter(), time.process_time()
    revision = revised(begun.present, Revision(0, begun.patient.goal_set), [edit], "bench")
    tps = CountingTps(planning_case(begun.patient.case, revision), planning_set(revision), begun.config)
    watch = Watch(hang_s=math.inf)
    scorer = plan_scorer(revision.goal_set)
    made = revise_plan(watched(tps, watch), revision, before=begun.planned, scorer=scorer)
    watch.close()
    plan, dose, notes = made.plan, made.dose, made.notes
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    after = present_plan(begun.patient.case, dose_on_image(dose, begun.patient.case.image.grid)[0])
    now = [after.value_of(goal) for goal in begun.patient.goal_set.goals]
    before_met, after_met = (
        sum(g.met_by(v) for g, v in zip(begun.patient.goal_set.goals, values, strict=True) if not math.isnan(v))
        for values in (begun.values(), now)
    )
    print(
        f"{kind}: {wall_s:.1f} s, {cpu_s:.1f} CPU s, {tps.refined} refinements, {tps.judged} true doses, "
        f"{tps.anew} times apertures anew; goals of the goal file {before_met} -> {after_met}; "
        f"{plan.mu:.0f} MU ({begun.planned.plan.mu:.0f} before); deliverable {check_plan(plan).deliverable}"
    )
    for note in notes:
        print(f"    {note}")
    sys.stdout.flush()
    return cpu_s < CPU_BAR_S and check_plan(plan).deliverable


def floor(begun: Begun) -> None:
    """What one refinement and one true dose take here and now."""
    tps = PhotonTps(begun.patient.case, begun.patient.goal_set, begun.config)
    working = begun.planned.working
    assert working is not None
    tps.resume(working)
    marks = [time.process_time()]
    tps.judge()
    marks.append(time.process_time())
    evaluations = tps.refine(working.objectives).iterations
    marks.append(time.process_time())
    print(f"one true dose {marks[1] - marks[0]:.1f} CPU s; {evaluations} evaluations {marks[2] - marks[1]:.1f} CPU s")


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds from an edit to the new deliverable plan.")
    parser.add_argument("--patient", type=int, default=34)
    parser.add_argument("--algorithm", default=PlanningConfig().algorithm)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--keep", type=Path, default=None)
    asked = parser.parse_args()
    config = PlanningConfig.model_validate({"algorithm": asked.algorithm})
    begun = begin(asked.patient, config, asked.keep)
    floor(begun)
    good = True
    for kind in asked.kinds:
        edit = edit_of(kind, begun)
        if edit is None:
            print(f"{kind}: left out, every goal is met")
        else:
            good = measured(kind, edit, begun) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
