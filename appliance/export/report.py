"""The report a physician reads and keeps: one HTML file without any outside resource.

It holds the same numbers as the evaluation that an approval is bound to, and says whose case it is: patient ID and
name are printed, because the report is a clinical document that stays with the case. It is never logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.contracts import CalculatedDose, Case, Evaluation, GoalSet, Plan, PlanningStory, Prediction
from appliance.contracts.anatomy import AnatomyReport
from appliance.contracts.dose import AS_RECEIVED
from appliance.contracts.navigation import TradeOffSet
from appliance.contracts.passage import PassageAnswer
from appliance.dicomio.files import software_version, write_durable
from appliance.errors import ExportError
from appliance.export.report_anatomy import anatomy_section
from appliance.export.report_attention import attention_section
from appliance.export.report_beams import beams_section
from appliance.export.report_dvh import dvh_section
from appliance.export.report_further import further_sections
from appliance.export.report_goals import goals_section, head, tiles
from appliance.export.report_html import Styles, duration, section, short, text
from appliance.export.report_navigation import navigation_section
from appliance.export.report_passages import passages_section
from appliance.export.report_prediction import prediction_section
from appliance.export.report_second import second_section
from appliance.export.report_slices import slices_section
from appliance.export.report_story import story_section
from appliance.export.report_style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser itself refuses anything from outside, whatever the case holds."""

NOTICE = "Research software. Not for clinical use."


@dataclass(frozen=True)
class Beside:
    """What the report shows beside the plan. scheduled: the received plan judged on today's anatomy. why: the passages
    that the goals rest on. prediction: what came of asking a network; None where none was asked. story: how the plan
    came about; None where nobody told it. traded: what could be traded around it; None where that was not made.
    anatomy: how today lies to the reference; None where that was not found here."""

    scheduled: Evaluation | None = None
    why: Sequence[tuple[str, PassageAnswer]] = ()
    prediction: Prediction | None = None
    story: PlanningStory | None = None
    traded: TradeOffSet | None = None
    anatomy: AnatomyReport | None = None

    @property
    def warned(self) -> bool:
        """The prediction itself says that it hardly knows this patient."""
        return bool(self.prediction and self.prediction.dose and self.prediction.dose.warnings)


def write_report(
    case: Case,
    goal_set: GoalSet,
    plan: Plan,
    dose: CalculatedDose,
    evaluation: Evaluation,
    timeline: Sequence[Mapping[str, object]],
    path: Path,
    *,
    beside: Beside | None = None,
) -> None:
    """Writes the report to `path`, all or nothing.

    Prescribed levels and goals are those the evaluation judged. timeline: the stages in order, each with `stage` and
    `seconds`. Raises ExportError if plan, dose and evaluation do not belong together, DiskFull or WriteFailed if the
    file cannot be written.
    """
    others = beside or Beside()
    _check_together(goal_set, plan, dose, evaluation)
    stages = [_stage(entry) for entry in timeline]
    total_s = sum(seconds for _, seconds in stages)
    generated = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    kind = "Plan as received" if dose.algorithm == AS_RECEIVED else "Adapted plan"
    body = (
        f'<p class="research" role="note">{NOTICE}</p>'
        f"{head(case, goal_set, plan, evaluation, kind, generated=generated)}<main>"
        f"{tiles(goal_set, evaluation, total_s)}{attention_section(evaluation)}"
        f"{goals_section(goal_set, evaluation, others.scheduled)}"
        f"{'' if others.anatomy is None else anatomy_section(others.anatomy)}"
        f"{second_section(evaluation.second_check)}"
        f"{further_sections(evaluation)}{passages_section(others.why)}"
        f"{dvh_section(case, evaluation, others.scheduled, warned=others.warned)}"
        f"{slices_section(case, plan, dose, evaluation)}"
        f"{prediction_section(case, plan, dose, evaluation, others.prediction)}"
        f"{'' if others.traded is None else navigation_section(others.traded)}"
        f"{story_section(others.story, Styles.of(case))}"
        f"{beams_section(plan, evaluation.plan)}{_timing_section(stages, total_s)}"
        f"{_provenance_section(case, goal_set, plan, dose, evaluation)}</main>"
        f"<footer>Couchside {text(software_version())}, {generated}. {NOTICE}</footer>"
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{kind} {text(plan.label)} · Couchside</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>\n"
    )
    write_durable(page.encode("utf-8"), path)


def _check_together(goal_set: GoalSet, plan: Plan, dose: CalculatedDose, evaluation: Evaluation) -> None:
    pairs = [
        ("dose", dose.plan_digest, "plan", plan.digest),
        ("evaluation", evaluation.plan_digest, "plan", plan.digest),
        ("evaluation", evaluation.dose_digest, "dose", dose.digest),
        ("evaluation", evaluation.goal_set, "goal set", goal_set.name),
    ]
    for what, told, whose, real in pairs:
        if told != real:
            raise ExportError(f"the {what} belongs to another {whose} than the one to report; evaluate the plan again")
    if not plan.beams:
        raise ExportError("the plan has no beam to report")


def _stage(entry: Mapping[str, object]) -> tuple[str, float]:
    name, seconds = entry.get("stage"), entry.get("seconds")
    if not isinstance(name, str) or not isinstance(seconds, int | float):
        raise ExportError("the timeline has an entry without a stage and its seconds; the report needs both")
    return name, float(seconds)


def _timing_section(stages: Sequence[tuple[str, float]], total_s: float) -> str:
    """Each stage as a bar that starts where the one before ended."""
    if not stages:
        return section("Seconds per stage", '<p class="note">No stage was timed.</p>', anchor="timing")
    row, left, width = 27, 210, 850
    scale = width / max(total_s, 1e-9)
    parts, before_s = [], 0.0
    for index, (name, seconds) in enumerate(stages):
        y = index * row
        x, long = left + before_s * scale, max(seconds * scale, 1.5)
        # The duration stands right of its bar, or left of it where the edge is near.
        at, anchor = (x + long + 7, "start") if x + long < left + width - 70 else (x - 7, "end")
        if anchor == "end" and x - left < 70:
            at, anchor = left + width + 8, "start"
        parts.append(
            f'<text x="{left - 12}" y="{y + 18}" font-size="14" text-anchor="end">{text(name)}</text>'
            f'<rect class="track" x="{left}" y="{y + 4}" width="{width}" height="19"/>'
            f'<rect x="{x:.1f}" y="{y + 4}" width="{long:.1f}" height="19">'
            f"<title>{text(name)}: {seconds:.2f} s</title></rect>"
            f'<text x="{at:.1f}" y="{y + 18}" font-size="13" text-anchor="{anchor}">{duration(seconds)}</text>'
        )
        before_s += seconds
    label = "; ".join(f"{name} {duration(seconds)}" for name, seconds in stages)
    svg = (
        f'<svg class="timing" viewBox="0 0 1180 {len(stages) * row}" role="img" aria-label="{text(label)}">'
        f"{''.join(parts)}</svg>"
    )
    return section("Seconds per stage", f'<p class="note">{duration(total_s)} in all.</p>{svg}', anchor="timing")


def _provenance_section(case: Case, goal_set: GoalSet, plan: Plan, dose: CalculatedDose, evaluation: Evaluation) -> str:
    machines = ", ".join(dict.fromkeys(beam.machine for beam in plan.beams))
    spacing = " × ".join(f"{step:g}" for step in dose.grid.spacing_mm)
    received = case.reference_plan_object
    facts = [
        ("Machine", text(machines)),
        ("Beam model", text(dose.beam_model)),
        ("Dose algorithm", text(dose.algorithm)),
        ("Dose is to", text(f"{dose.dose_to}; transport in {dose.transport}" if dose.transport else dose.dose_to)),
        ("Dose grid", f"{spacing} mm, {' × '.join(str(n) for n in dose.grid.shape[::-1])} voxels"),
        ("Technique", text(plan.technique.replace("_", " ").lower())),
        ("Goal set", f"{text(goal_set.name)} {short(evaluation.goal_set_digest)}"),
        ("Received plan", short(received.sha256) if received else "none"),
        ("Case", short(case.digest)),
        ("Structures", short(case.structure_set.sha256)),
        ("Plan", short(plan.digest)),
        ("Dose", short(dose.digest)),
        ("Evaluation", short(evaluation.digest)),
        ("Software", f"Couchside {text(software_version())}"),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    note = (
        '<p class="note">Digests are the first 16 digits of SHA-256; hover for all 64. An approval is bound to those '
        "of case, plan, dose and evaluation.</p>"
    )
    return section("Provenance", f'<dl class="facts">{rows}</dl>{note}', anchor="provenance")
