"""A predicted dose as RT Dose: it says what it is, names no plan, and is known again when it comes back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.case import read_dose
from appliance.contracts import Case, Identity, Image, PredictedDose, SourceObject, Structure
from appliance.dicomio.dose import LEVELS
from appliance.dicomio.files import save_durable
from appliance.dicomio.predicted_dose import (
    HALF_WIDTH_MARK,
    PREDICTED_MARK,
    is_prediction,
    predicted_dose_dataset,
)
from appliance.dicomio.values import LONG_STRING
from appliance.errors import ExportError, RefusedObject
from engines.grid import Grid

GRID = Grid((-20.125, -31.5, 6.0), (2.5, 3.0, 2.0), (3, 5, 7))
SHA = "ab" * 32


@pytest.fixture
def case(
    identity: Identity,
    frame_uid: str,
    image: Image,
    structures: Sequence[Structure],
    images: Sequence[SourceObject],
    structure_set: SourceObject,
) -> Case:
    return Case("c", identity, frame_uid, "HFS", image, tuple(structures), (), 35, tuple(images), structure_set)


@pytest.fixture
def predicted() -> PredictedDose:
    dose_gy = (np.random.default_rng(3).random(GRID.shape) * 71.3).astype(np.float32)
    return PredictedDose(GRID, dose_gy, dose_gy / 10, dose_gy / 6, "dose@abababab", model_sha256=SHA)


def written(case: Case, predicted: PredictedDose, path: Path, volume: str = "dose") -> pydicom.Dataset:
    save_durable(predicted_dose_dataset(case, predicted, volume), path)  # type: ignore[arg-type]
    return pydicom.dcmread(path)


def test_it_says_that_it_is_a_prediction_and_by_which_file(
    case: Case, predicted: PredictedDose, tmp_path: Path
) -> None:
    read = written(case, predicted, tmp_path / "P.dcm")
    assert read.SeriesDescription == read.DoseComment == PREDICTED_MARK
    assert read.PlanOverviewSequence[0].RTPlanLabel == "PREDICTED"
    assert len(PREDICTED_MARK) <= LONG_STRING >= len(HALF_WIDTH_MARK)
    equipment = read.ContributingEquipmentSequence[0]
    assert equipment.ManufacturerModelName == "dose@abababab"
    assert SHA in equipment.ContributionDescription
    assert read.ManufacturerModelName == "Couchside dose prediction"
    values = read.pixel_array * float(read.DoseGridScaling)
    assert abs(values - predicted.dose_gy).max() < 0.51 / LEVELS * predicted.dose_gy.max()


def test_it_belongs_to_todays_structures_and_to_no_plan(case: Case, predicted: PredictedDose, tmp_path: Path) -> None:
    read = written(case, predicted, tmp_path / "P.dcm")
    assert "ReferencedRTPlanSequence" not in read
    assert read.DoseSummationType == "PLAN_OVERVIEW"
    referenced = read.PlanOverviewSequence[0].ReferencedStructureSetSequence[0]
    assert referenced.ReferencedSOPInstanceUID == case.structure_set.sop_instance_uid
    assert read.FrameOfReferenceUID == case.frame_of_reference_uid


def test_the_half_width_is_no_physical_dose(case: Case, predicted: PredictedDose, tmp_path: Path) -> None:
    read = written(case, predicted, tmp_path / "W.dcm", "half width")
    assert (read.DoseType, read.DoseComment) == ("ERROR", HALF_WIDTH_MARK)
    values = read.pixel_array * float(read.DoseGridScaling)
    np.testing.assert_allclose(values, predicted.uncertainty_gy, atol=1e-3)


@pytest.mark.parametrize("volume", ["dose", "half width"])
@pytest.mark.parametrize("rewritten", [(), ("DoseComment",), ("SeriesDescription", "ManufacturerModelName")])
def test_it_is_never_read_as_a_dose_whatever_an_archive_rewrites(
    volume: str, rewritten: tuple[str, ...], case: Case, predicted: PredictedDose, tmp_path: Path
) -> None:
    path = tmp_path / "P.dcm"
    read = written(case, predicted, path, volume)
    for keyword in rewritten:
        setattr(read, keyword, "Dose")
    read.save_as(path)
    with pytest.raises(RefusedObject, match="predicted, which nobody calculated") as refusal:
        read_dose(path)
    assert refusal.value.fields["rule"] == "dose.predicted"


def test_other_doses_are_not_taken_for_predictions() -> None:
    for told in ("Predicted fluence plan", "NOT FOR CLINICAL USE - research software; dose to water", ""):
        assert not is_prediction(lambda keyword, told=told: told)  # type: ignore[misc]


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_what_is_no_dose_is_not_written(value: float, case: Case, predicted: PredictedDose) -> None:
    predicted.dose_gy[0, 0, 0] = value
    with pytest.raises(ExportError):
        predicted_dose_dataset(case, predicted)


@pytest.mark.peer
@pytest.mark.parametrize("volume", ["dose", "half width"])
def test_an_independent_validator_finds_no_error(
    volume: str, case: Case, predicted: PredictedDose, tmp_path: Path
) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    written(case, predicted, tmp_path / "P.dcm", volume)
    done = subprocess.run(["dciodvfy", str(tmp_path / "P.dcm")], capture_output=True, encoding="latin-1", check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
