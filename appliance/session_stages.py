"""What a session asks of its stages, and nothing it does not.

A frozen record of callables, so that a test (or a clinic's own TPS) can stand in for one stage and leave the rest real.
The real ones are bound in `session_wiring`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from appliance.case.today.editing import ContourDesk
from appliance.contracts import (
    Approval,
    Attachments,
    CalculatedDose,
    Case,
    Evaluation,
    ExportSet,
    GoalSet,
    Plan,
    PlanFacts,
    Planned,
    PlanningStory,
    PredictedDose,
    Prediction,
    Received,
    Revision,
    SecondCheck,
    Shown,
    Structure,
    TradeOff,
)
from appliance.contracts.anatomy import Anatomy, AnatomyReport, ReferenceToday
from appliance.contracts.derived import DerivedRule
from appliance.contracts.navigation import TradeOffSet
from appliance.contracts.progress import Progress


@dataclass(frozen=True, eq=False)
class Reviewed:
    """What a question about a plan is about. dose: of the plan, on today's image. story: how the plan came about, where
    the planner told it. traded: what could be traded around it, where that was made. anatomy: how today's contours came
    about, where that was found here."""

    case: Case
    goal_set: GoalSet
    plan: Plan
    dose: CalculatedDose
    story: PlanningStory | None = field(default=None, kw_only=True)
    traded: TradeOffSet | None = field(default=None, kw_only=True)
    anatomy: AnatomyReport | None = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False)
class Subject(Reviewed):
    """What is judged. scheduled_dose: of the plan for the reference anatomy on today's, where there is one. dose_gy:
    (z, y, x) Gy of `dose` on today's image grid, NaN where it does not reach."""

    dose_gy: NDArray[np.float32]
    scheduled_dose: CalculatedDose | None
    attached: Attachments


class Assemble(Protocol):
    def __call__(self, received: Sequence[Received], anatomy: Anatomy | None = None, /) -> Case: ...


class TradeOffs(Protocol):
    def __call__(
        self, reviewed: Reviewed, traded: tuple[TradeOff, ...], progress: Progress, enough: Callable[[], bool], /
    ) -> TradeOffSet: ...


class WriteReport(Protocol):
    def __call__(
        self,
        reviewed: Reviewed,
        evaluation: Evaluation,
        timing: Sequence[Mapping[str, JsonValue]],
        path: Path,
        scheduled: Evaluation | None,
        prediction: Prediction,
        /,
    ) -> None: ...


@dataclass(frozen=True)
class Stages:
    """In the order of the flow. `find_anatomy` registers today's image to the reference's, contours it where nobody
    has, and writes what it made into a folder; `write_contours_page` draws both days beside each other;
    `contour_desk` is where they are edited, `write_contours` writes what came of it; `contours_to_confirm` says why a
    person must look at them first ('': nobody need), told whether they were made here. `attachments` gives what people
    laid beside the patient of a key. `choose_goals` returns the bytes of the goal file, which the session keeps a copy
    of; `goals_for_case` reads such a copy.
    `predict` gives what a network expects a good plan to reach, or says why it gives nothing; it raises only where the
    node itself is at fault. `plan` may be guided by it; `revise` goes on from a plan to what a revision asks for,
    `take_trade` to what navigation answered; `beside_prediction` adds to an evaluation what it says of the same goals.
    `second_check` calculates the plan's dose again by an independent algorithm and compares; `write_second_dose` puts
    that dose beside the export set. `trade_offs` makes the plans that a reviewer may navigate between, asking before
    each whether that is enough. `scheduled` judges the plan that was made for the reference anatomy on today's, with
    its dose, or returns None and None with a sentence why that cannot be done ('' where there is no such plan).
    `confirm` gives who confirms what a plan is made on, and the signature under it. `on_image` brings a dose to today's
    image grid. `deepen` adds to an evaluation what is judged beyond the goals. `write_proposal` writes the export set
    of a plan that nobody approved, which `send` refuses; `send` says what the peer did not take and need not have.
    `write_record` puts the evaluation for the record beside a written set, and names in the set what of it shall be
    sent."""

    find_anatomy: Callable[[Sequence[Received], Sequence[Received], Path, Progress], tuple[Anatomy, ReferenceToday]]
    write_contours_page: Callable[[Case, AnatomyReport, ReferenceToday, Path], None]
    assemble: Assemble
    contours_to_confirm: Callable[[AnatomyReport, bool], str]
    contour_desk: Callable[[Case, Sequence[DerivedRule]], ContourDesk]
    write_contours: Callable[[Case, Sequence[Structure], Path], Received]
    attachments: Callable[[str], Attachments]
    choose_goals: Callable[[Case], bytes]
    goals_for_case: Callable[[Path, Case], GoalSet]
    predict: Callable[[Case, GoalSet, Progress], Prediction]
    plan: Callable[[Case, GoalSet, PredictedDose | None, Progress], Planned]
    revise: Callable[[Case, Revision, Planned, Progress], Planned]
    take_trade: Callable[[Case, Revision, Planned, TradeOffSet | None, Progress], Planned]
    check_plan: Callable[[Plan], PlanFacts]
    evaluate: Callable[[Case, GoalSet, CalculatedDose, PlanFacts], Evaluation]
    beside_prediction: Callable[[Case, GoalSet, PredictedDose | None, Evaluation], Evaluation]
    second_check: Callable[[Case, Plan, CalculatedDose, Progress], tuple[SecondCheck, CalculatedDose | None]]
    on_image: Callable[[CalculatedDose, Case], NDArray[np.float32]]
    scheduled: Callable[[Case, GoalSet, Progress], tuple[Evaluation | None, CalculatedDose | None, str]]
    deepen: Callable[[Subject, Evaluation, Progress], Evaluation]
    scorecard: Callable[[Evaluation], Mapping[str, JsonValue]]
    write_report: WriteReport
    confirm: Callable[[str, str, bytes], tuple[str, str]]
    sign: Callable[[str, str, Shown, str], Approval]
    verify_approval: Callable[[Approval], None]
    write_export_set: Callable[[Case, Plan, CalculatedDose, Approval, Path], ExportSet]
    write_proposal: Callable[[Case, Plan, CalculatedDose, Path], ExportSet]
    read_back: Callable[[ExportSet, Case, Plan, CalculatedDose], None]
    write_record: Callable[[Case, Plan, Evaluation, Approval | None, ExportSet], tuple[ExportSet, tuple[Path, ...]]]
    write_second_dose: Callable[[Case, CalculatedDose, ExportSet], Path]
    send: Callable[[ExportSet, Progress], tuple[str, ...]]
    trade_offs: TradeOffs
