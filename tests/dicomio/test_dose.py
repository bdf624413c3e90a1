from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from appliance.contracts import CalculatedDose, Identity, SourceObject
from appliance.dicomio.dose import LEVELS, dose_dataset, dose_scaling, name_medium
from appliance.dicomio.files import save_durable
from appliance.errors import ExportError
from engines.grid import Grid

GRID = Grid((-20.125, -31.5, 6.0), (2.5, 3.0, 2.0), (3, 5, 7))


def random_dose() -> np.ndarray:
    return (np.random.default_rng(3).random(GRID.shape) * 71.3).astype(np.float32)


def test_dose_reads_back_on_its_grid_within_half_a_step(
    identity: Identity, structure_set: SourceObject, tmp_path: Path
) -> None:
    dose_gy = random_dose()
    dataset = dose_dataset(
        GRID, dose_gy, identity=identity, frame_of_reference_uid="2.25.9", plan=structure_set, structure_set=None
    )
    read = dcmread(save_durable(dataset, tmp_path / "RD.dcm").path)
    values = read.pixel_array * float(read.DoseGridScaling)
    assert abs(values - dose_gy).max() / dose_gy.max() < 0.51 / LEVELS < 1e-4
    assert [float(v) for v in read.ImagePositionPatient] == list(GRID.origin_mm)
    assert [float(v) for v in read.PixelSpacing] == [3.0, 2.5]
    assert [float(v) for v in read.GridFrameOffsetVector] == [0.0, 2.0, 4.0]
    assert (read.DoseUnits, read.DoseType, read.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")
    assert read.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == structure_set.sop_instance_uid


@pytest.mark.parametrize(("overridden", "corrected"), [(False, "IMAGE"), (True, ["IMAGE", "ROI_OVERRIDE"])])
def test_the_dose_says_what_it_is_to_and_whose_densities_it_took(
    overridden: bool, corrected: object, identity: Identity, structure_set: SourceObject, tmp_path: Path
) -> None:
    made = CalculatedDose(GRID, random_dose(), "p", "test", "generic_6mv", density_overridden=overridden)
    dataset = dose_dataset(
        GRID, made.dose_gy, identity=identity, frame_of_reference_uid="2.25.9", plan=structure_set, structure_set=None
    )
    assert "TissueHeterogeneityCorrection" not in dataset
    name_medium(dataset, made)
    read = dcmread(save_durable(dataset, tmp_path / "RD.dcm").path)
    assert read.DoseComment == "NOT FOR CLINICAL USE - research software; dose to water"
    assert read.TissueHeterogeneityCorrection == corrected


@given(st.floats(1e-12, 1e6))
def test_the_written_scaling_never_overflows_and_wastes_nothing(maximum_gy: float) -> None:
    scaling = float(dose_scaling(maximum_gy))
    assert round(maximum_gy / scaling) == LEVELS
    assert scaling * LEVELS >= maximum_gy * (1 - 1e-15)
    assert maximum_gy / scaling > LEVELS * (1 - 1e-6)


def test_no_dose_at_all_is_written_as_zeros(identity: Identity, structure_set: SourceObject) -> None:
    dataset = dose_dataset(
        GRID,
        np.zeros(GRID.shape, np.float32),
        identity=identity,
        frame_of_reference_uid="2.25.9",
        plan=structure_set,
        structure_set=None,
    )
    assert float(dataset.DoseGridScaling) > 0
    assert set(dataset.PixelData) == {0}


def test_beam_dose_names_fraction_group_and_beam(identity: Identity, structure_set: SourceObject) -> None:
    dataset = dose_dataset(
        GRID,
        random_dose(),
        identity=identity,
        frame_of_reference_uid="2.25.9",
        plan=structure_set,
        structure_set=None,
        summation="BEAM",
        beam_number=4,
    )
    group = dataset.ReferencedRTPlanSequence[0].ReferencedFractionGroupSequence[0]
    assert (group.ReferencedFractionGroupNumber, group.ReferencedBeamSequence[0].ReferencedBeamNumber) == (1, 4)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_impossible_dose_is_refused(value: float, identity: Identity, structure_set: SourceObject) -> None:
    dose_gy = random_dose()
    dose_gy[1, 1, 1] = value
    with pytest.raises(ExportError, match="negative or not numbers"):
        dose_dataset(
            GRID, dose_gy, identity=identity, frame_of_reference_uid="2.25.9", plan=structure_set, structure_set=None
        )


def test_beam_without_number_and_shape_mismatch_are_refused(identity: Identity, structure_set: SourceObject) -> None:
    common = {"identity": identity, "frame_of_reference_uid": "2.25.9", "structure_set": None}
    with pytest.raises(ExportError, match="beam number None"):
        dose_dataset(GRID, random_dose(), plan=structure_set, summation="BEAM", **common)
    with pytest.raises(ExportError, match="shape"):
        dose_dataset(GRID, random_dose()[1:], plan=structure_set, **common)
    with pytest.raises(ExportError, match="needs its plan"):
        dose_dataset(GRID, random_dose(), plan=None, summation="BEAM", beam_number=1, **common)
