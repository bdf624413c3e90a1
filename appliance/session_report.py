"""The report of a session's plan: written with its judgement, again with its export, and once more while it is read,
when what could be traded around it is known."""

from __future__ import annotations

from appliance.contracts import Case, Evaluation, GoalSet
from appliance.contracts.navigation import TradeOffSet
from appliance.session_anatomy import report_of
from appliance.session_artefacts import REPORT
from appliance.session_predicted import remembered
from appliance.session_stages import Reviewed, Stages
from appliance.session_steps import Steps
from appliance.session_work import Saved, stage_seconds

DRAFT = ".report-draft.html.part"
"""Taken away by the next start, where a killed process left it."""


class Reporting(Steps):
    """A part of Session."""

    stages: Stages

    def case(self) -> tuple[Case, GoalSet]:
        raise NotImplementedError

    def report_with(self, traded: TradeOffSet) -> bytes:
        """Of the plan in review, with what could be traded around it; recorded nowhere yet. Raises ArtefactAltered,
        DiskFull, WriteFailed."""
        self._report(self.files.evaluation(), self.files.scheduled(), traded, DRAFT)
        return self.files.take(DRAFT)

    def _write_report(
        self, evaluation: Evaluation, scheduled: Evaluation | None, traded: TradeOffSet | None = None
    ) -> Saved:
        self._report(evaluation, scheduled, traded, REPORT)
        return self.files.record(REPORT)

    def _report(
        self, evaluation: Evaluation, scheduled: Evaluation | None, traded: TradeOffSet | None, name: str
    ) -> None:
        files, timing = self.files, stage_seconds(self.standing)
        reviewed = Reviewed(
            *self.case(), files.plan(), files.dose(), story=files.story(), traded=traded, anatomy=report_of(files)
        )
        prediction = remembered(files.predicted(), self.standing.facts)
        self.stages.write_report(reviewed, evaluation, timing, files.folder / name, scheduled, prediction)
