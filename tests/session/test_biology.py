"""Outcome models and an earlier course, as a session asks for them."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.builtin import write_study
from appliance.case import assemble
from appliance.contracts import Attachments, CalculatedDose, ClinicalGoal, Comparator, GoalSet, Metric
from appliance.contracts.prior import CumulativeResult
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.inbound import assess, read_folder
from appliance.session_biology import judged, outcomes_of, prior_of

CORD = ClinicalGoal("SpinalCord", Metric.parse("Max"), Comparator.AT_MOST, 50, "Gy", 1, "a source")
GOALS = GoalSet("s", "S", "head-neck", 25, (("PTV", 50.0),), (CORD,), "d")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bio") / "today"
    write_study("head-neck", folder, day="today", uid_seed="t")
    return assemble(assess(read_folder(folder)).chosen)


def dose(case, value):
    return np.full(case.image.grid.shape, value, np.float32)


def test_outcomes_compare_with_the_scheduled_plan(case):
    scheduled = CalculatedDose(case.image.grid, dose(case, 30.0), "a" * 64, "pencil beam", "generic")
    found = outcomes_of(case, GOALS, dose(case, 25.0), 25, scheduled)
    left = next(item for item in found if item.structure == "Parotid_L")
    assert left.probability < left.versus_scheduled.scheduled


@pytest.mark.parametrize(("value", "priority", "high", "severity"), [
    (60.0, 1, 61.0, "stop"), (60.0, 2, 61.0, "warn"), (51.0, 1, 49.0, "warn"), (49.0, 1, 51.0, "warn"),
    (40.0, 1, 41.0, None),
])  # fmt: skip
def test_only_a_first_limit_that_is_passed_for_certain_stops(value, priority, high, severity):
    limit, met = 50.0, value <= 50.0
    certain = (value <= limit) == (high <= limit)
    item = CumulativeResult(
        "SpinalCord", "Max", "<=", limit, "Gy", value, value, high, met, certain, priority, 2.0, "a", 30.0, 0.0, "n",
        "50 Gy in 25 fractions, as EQD2", "s",
    )  # fmt: skip
    found = judged(item)
    assert [one.severity.value for one in found] == ([severity] if severity else [])
    assert all("Gy EQD2" in one.evidence for one in found)


def test_no_earlier_course_says_nothing(case):
    assert prior_of(case, GOALS, dose(case, 25.0), 25, Attachments()) == (None, ())


def test_an_earlier_course_that_cannot_be_summed_becomes_a_finding(case, tmp_path):
    note = tmp_path / "x.dcm"
    note.write_text("no DICOM")
    course, findings = prior_of(case, GOALS, dose(case, 25.0), 25, Attachments(prior=(note,)))
    assert course is None
    assert findings[0].id == "prior.not_summed" and "has no dose" in findings[0].evidence
    # A dose without its plan: how many fractions it had is not known, and nothing is assumed.
    study = write_study("head-neck", tmp_path / "s", day="reference", uid_seed="t")
    values = np.full(study.grid.shape, 40.0, np.float32)
    frame, structures = study.frame_of_reference_uid, study.structure_set
    dataset = dose_dataset(
        study.grid, values, identity=study.identity, frame_of_reference_uid=frame, plan=None, structure_set=structures
    )
    saved = save_durable(dataset, tmp_path / "RD.dcm")
    course, findings = prior_of(case, GOALS, dose(case, 25.0), 25, Attachments(prior=(*study.files, saved.path)))
    assert course is None and "fractions of the earlier course is not known" in findings[0].evidence
