"""A session lays the plan's histograms beside the bands of its prediction, and remembers what it was told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.contracts import Case, GoalSet, PredictedBand, PredictedDose, Prediction
from appliance.contracts.progress import Progress
from appliance.session import Session, State
from appliance.session_predicted import prediction_facts, remembered

from .conftest import Desk
from .test_predicted import dose_of, reviewed

VOLUMES = np.array([100, 98, 50, 2], np.float32)


def band(structure: str, low: float, high: float) -> PredictedBand:
    return PredictedBand(structure, VOLUMES, *(np.full(4, gy, np.float32) for gy in (low, (low + high) / 2, high)))


def asked(desk: Desk, *bands: PredictedBand, warnings: tuple[str, ...] = ()) -> Session:
    def predict(case: Case, goal_set: GoalSet, progress: Progress) -> Prediction:
        dose: PredictedDose = replace(dose_of(case), dvh=bands, warnings=warnings)
        return Prediction(dose, notes=("on the processor",), seconds={"network": 1.25})

    return reviewed(desk, predict=predict)


def first_target(desk: Desk) -> str:
    return asked(desk).case()[0].targets[0].tg263


def test_a_target_below_its_band_is_a_finding_that_stops_nothing(desk: Desk) -> None:
    """The stand-in plan gives an open field's dose; the band asks for more than that."""
    name = first_target(desk)
    session = asked(desk, band(name, 200.0, 210.0))
    assert session.state is State.IN_REVIEW
    evaluation = session.files.evaluation()
    (judged,) = evaluation.bands
    assert (judged.structure, judged.is_clearly_worse) == (name, True)
    assert [one.id for one in evaluation.findings if one.id.startswith("prediction.")] == [
        "prediction.target_below_band"
    ]
    assert not evaluation.stops
    report = (session.files.folder / "report.html").read_text("utf-8")
    assert "200.0 to 210.0 Gy" in report and "network 1.2 s" in report and "on the processor" in report


def test_of_a_patient_that_the_network_hardly_knows_nothing_is_found(desk: Desk) -> None:
    session = asked(desk, band(first_target(desk), 200.0, 210.0), warnings=("It is a phantom.",))
    evaluation = session.files.evaluation()
    assert len(evaluation.bands) == 1
    assert not [one for one in evaluation.findings if one.id.startswith("prediction.")]
    assert "conclude nothing from it" in (session.files.folder / "report.html").read_text("utf-8")


def test_a_band_that_is_none_is_left_aside_with_a_note(desk: Desk) -> None:
    name = first_target(desk)
    session = asked(desk, replace(band(name, 20.0, 30.0), low_gy=np.full(4, 50.0, np.float32)))
    evaluation = session.files.evaluation()
    assert evaluation.bands == () and session.state is State.IN_REVIEW
    assert any(f"band of {name} is no band" in note for note in evaluation.notes)


@pytest.mark.parametrize("warnings", [(), ("It is a phantom.",)])
def test_what_was_told_is_remembered_from_the_row(desk: Desk, warnings: tuple[str, ...]) -> None:
    dose = replace(dose_of(asked(desk).case()[0]), warnings=warnings)
    told = Prediction(dose, notes=("on the processor",), seconds={"network": 1.25})
    again = remembered(dose, prediction_facts(told))
    assert (again.notes, dict(again.seconds)) == (told.notes, {"network": 1.25})
    none = Prediction(None, ("too few organs",))
    assert "too few organs" in remembered(None, prediction_facts(none)).reasons
    assert remembered(None, {}).reasons == ("No network was asked",)
