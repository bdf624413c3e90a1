"""A session with a prediction and without: kept, handed on, judged beside the plan, and never in the plan's place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Case, GoalSet, PredictedBand, PredictedDose, Prediction
from appliance.contracts.comparison import PREDICTED_LABEL
from appliance.contracts.progress import Progress
from appliance.errors import DiskFull, SessionError
from appliance.session import Session, State
from appliance.session_predicted import prediction_bytes, prediction_from_bytes
from engines.grid import Grid

from .conftest import Desk
from .standin import DOSE_GY, open_field

WARNED = "The neck is longer than that of any patient the network knows"
REASON = "The network knows no treatment of this kind; planning starts from the goals"


def dose_of(case: Case) -> PredictedDose:
    """22 Gy in the whole image, 1.5 Gy more than the stand-in's plan."""
    gy = np.full(case.image.grid.shape, DOSE_GY + 1.5, np.float32)
    band = PredictedBand(
        "PTV", *(np.linspace(a, b, 5, dtype=np.float32) for a, b in ((100, 0), (1, 2), (2, 3), (3, 4)))
    )
    return PredictedDose(
        case.image.grid, gy, gy / 10, gy / 6, "dose@0123abcd", warnings=(WARNED,), dvh=(band,), model_sha256="01" * 32
    )


def predict(case: Case, goal_set: GoalSet, progress: Progress) -> Prediction:
    progress("network", 0.5)
    return Prediction(dose_of(case), notes=("Ran on the CPU",), seconds={"network": 1.25})


def without(case: Case, goal_set: GoalSet, progress: Progress) -> Prediction:
    return Prediction(None, (REASON,))


def reviewed(desk: Desk, **changed: object) -> Session:
    session = desk.session(replace(desk.stages, **changed))  # type: ignore[arg-type]
    session.run()
    assert session.state is State.IN_REVIEW
    return session


def test_what_was_predicted_is_an_artefact_and_its_row_says_by_what(desk: Desk) -> None:
    session = reviewed(desk, predict=predict)
    row = next(row for row in desk.rows("session.transition") if row.data["event"] == "predict")
    data = (session.files.folder / "predicted.npz").read_bytes()
    assert row.data["artefacts"] == {"predicted.npz": hashlib.sha256(data).hexdigest()}
    facts = row.data["facts"]
    assert isinstance(facts, dict)
    assert (facts["predicted"], facts["prediction_model"]) == (True, "dose@0123abcd")
    assert facts["prediction_seconds"] == {"network": 1.25}
    assert facts["prediction_notes"] == [WARNED, "Ran on the CPU"]
    assert isinstance(row.data["steps"], dict)
    assert set(row.data["steps"]) == {"network"}


def test_the_goals_are_judged_on_it_beside_the_plan_and_the_report_says_what_it_is(desk: Desk) -> None:
    session = reviewed(desk, predict=predict)
    evaluation = session.files.evaluation()
    assert evaluation.predicted is not None
    assert [goal.value for goal in evaluation.predicted.goals] == pytest.approx([DOSE_GY + 1.5] * 2)
    assert evaluation.comparison is not None
    assert evaluation.comparison.predicted_label == PREDICTED_LABEL
    assert evaluation.goals[0].value == pytest.approx(DOSE_GY)
    report = (session.files.folder / "report.html").read_text("utf-8")
    assert "dose@0123abcd" in report
    assert "predicted" in report
    assert WARNED in report
    assert WARNED in json.loads((session.files.folder / "scorecard.json").read_bytes())["notes"]


def test_planning_is_handed_what_was_predicted_also_after_a_crash(desk: Desk) -> None:
    handed: list[PredictedDose | None] = []

    def killed(*_: object) -> None:
        raise DiskFull("no room")

    session = desk.session(replace(desk.stages, predict=predict, plan=killed))  # type: ignore[arg-type]
    with pytest.raises(DiskFull):
        session.run()
    assert session.state is State.PLANNING

    def planned(case: Case, goal_set: GoalSet, predicted: PredictedDose | None, progress: Progress) -> object:
        handed.append(predicted)
        return open_field(case, goal_set, predicted, progress)

    again = desk.reopen(replace(desk.stages, predict=without, plan=planned))  # type: ignore[arg-type]
    again.run()
    assert again.state is State.IN_REVIEW
    (given,) = handed
    assert given is not None
    expected = dose_of(again.case()[0])
    np.testing.assert_array_equal(given.dose_gy, expected.dose_gy)
    assert given.grid.same_as(expected.grid)
    assert REASON not in again.standing.notes


def test_without_a_dose_it_says_why_on_the_report_and_plans_from_the_goals(desk: Desk) -> None:
    handed: list[object] = []

    def planned(*given: object) -> object:
        handed.append(given[2])
        return open_field(*given)  # type: ignore[arg-type]

    session = reviewed(desk, predict=without, plan=planned)
    assert handed == [None]
    assert REASON in session.standing.notes
    assert session.files.evaluation().predicted is None
    assert REASON in (session.files.folder / "report.html").read_text("utf-8")
    assert not (session.files.folder / "predicted.npz").exists()
    assert session.standing.facts["predicted"] is False


def test_an_altered_prediction_stops_the_session(desk: Desk) -> None:
    def killed(*_: object) -> None:
        raise DiskFull("no room")

    session = desk.session(replace(desk.stages, predict=predict, plan=killed))  # type: ignore[arg-type]
    with pytest.raises(DiskFull):
        session.run()
    path = session.files.folder / "predicted.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    again = desk.reopen()
    again.run()
    assert again.state is State.FAILED
    assert again.standing.facts["key"] == "session.artefact"


def test_a_prediction_that_misses_a_target_is_left_aside_with_a_note(desk: Desk) -> None:
    def elsewhere(case: Case, goal_set: GoalSet, progress: Progress) -> Prediction:
        far = Grid((900.0, 900.0, 900.0), (5.0, 5.0, 5.0), case.image.grid.shape)
        return Prediction(replace(dose_of(case), grid=far))

    evaluation = reviewed(desk, predict=elsewhere).files.evaluation()
    assert evaluation.predicted is None
    assert any(note.startswith("The goals were not judged on the predicted dose") for note in evaluation.notes)


def test_a_session_that_starts_over_predicts_anew(desk: Desk) -> None:
    def hopeless(*_: object) -> None:
        raise SessionError("for this test")

    session = desk.session(replace(desk.stages, predict=predict, plan=hopeless))  # type: ignore[arg-type]
    session.run()
    assert session.state is State.FAILED
    again = desk.reopen(replace(desk.stages, predict=without))
    again.retry("uid 0")
    again.run()
    assert again.files.predicted() is None
    assert REASON in again.standing.notes
    assert WARNED not in again.standing.notes


def test_it_reads_back_as_it_was_written(desk: Desk) -> None:
    case = desk.session().stages.assemble(desk.received)
    made = dose_of(case)
    read = prediction_from_bytes(prediction_bytes(made))
    assert (read.grid, read.model, read.model_sha256, read.warnings) == (
        made.grid, made.model, made.model_sha256, made.warnings,
    )  # fmt: skip
    for name in ("dose_gy", "uncertainty_gy", "half_width_95_gy"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    assert read.dvh[0].structure == "PTV"
    np.testing.assert_array_equal(read.dvh[0].high_gy, made.dvh[0].high_gy)
    assert prediction_bytes(read) == prediction_bytes(made)


@pytest.mark.parametrize("place", [(2, 5, 7), (0, 0, 0), (11, 39, 39), None])
def test_a_dose_in_a_corner_of_a_large_image_takes_little_room(place: tuple[int, int, int] | None, desk: Desk) -> None:
    case = desk.session().stages.assemble(desk.received)
    empty = np.zeros(case.image.grid.shape, np.float32)
    dose_gy, half_gy = empty.copy(), empty.copy()
    if place is not None:
        dose_gy[place], half_gy[place] = 40.0, 3.0
    made = replace(dose_of(case), dose_gy=dose_gy, uncertainty_gy=half_gy, half_width_95_gy=empty)
    data = prediction_bytes(made)
    read = prediction_from_bytes(data)
    np.testing.assert_array_equal(read.dose_gy, dose_gy)
    np.testing.assert_array_equal(read.uncertainty_gy, half_gy)
    assert read.grid == made.grid
    assert len(data) < empty.nbytes / 10


def test_a_prediction_is_never_kept_as_the_dose_of_a_plan(desk: Desk) -> None:
    session = reviewed(desk, predict=predict)
    predicted = session.files.predicted()
    with pytest.raises(SessionError, match="calculate the plan's dose"):
        session.files.save_plan(session.files.plan(), predicted)  # type: ignore[arg-type]
