"""What the demo sends: the reference day with a plan made for it, and today's image, which nobody has drawn on."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from appliance.approval import IdentityStore
from appliance.builtin import write_study
from appliance.config import Config
from appliance.contracts.progress import Progress
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.session_headless import read_case
from appliance.session_wiring import real_stages
from appliance.session_work import prescribed

DAYS_SINCE = 14
"""From the reference to today, as for a patient under treatment."""


def prepare(name: str, folder: Path, config: Config, progress: Progress) -> tuple[Path, ...]:
    """Writes the built-in study and plans its reference day with the real planner. Returns the files in the order to
    send them: the reference plan and dose with the anatomy they were made on, which start no session, then today's
    image. Today's structures, which are known for a built-in case, stay behind: they are to be found.

    Raises RefusedInput for an unknown case, PlanningError."""
    progress("writing the study", 0.0)
    now = date.today()
    planned = f"{now - timedelta(days=DAYS_SINCE):%Y%m%d}"
    reference = write_study(name, folder / "reference", day="reference", contrast=True, dated=planned)
    today = write_study(name, folder / "today", day="today", contrast=True, dated=f"{now:%Y%m%d}")
    stages = real_stages(config, IdentityStore(folder / "identities"))
    received, _ = read_case(folder / "reference")
    case = stages.assemble(received)
    goals = folder / "goals.toml"
    goals.write_bytes(stages.choose_goals(case))
    goal_set = stages.goals_for_case(goals, case)
    case = prescribed(case, goal_set)
    made = stages.plan(case, goal_set, None, lambda step, done: progress(f"reference plan, {step}", done))
    plan, dose = made.plan, made.dose
    dataset = plan_dataset(
        plan,
        identity=case.identity,
        structure_set=case.structure_set,
        predecessor=None,
        prescription=case.prescription,
        frame_of_reference_uid=case.frame_of_reference_uid,
    )
    dataset.RTPlanDate = planned  # as if planned then: an image after the plan is today's
    written_plan = save_durable(dataset, folder / "RP.dcm")
    written_dose = save_durable(
        dose_dataset(
            dose.grid,
            dose.dose_gy,
            identity=case.identity,
            frame_of_reference_uid=case.frame_of_reference_uid,
            plan=written_plan,
            structure_set=None,
        ),
        folder / "RD.dcm",
    )
    images = [item.path for item in today.images]
    return (written_plan.path, written_dose.path, *reference.files, *images)
