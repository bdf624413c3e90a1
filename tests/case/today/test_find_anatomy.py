"""Today's anatomy from two folders of objects, of an image whose values are no densities."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from appliance.case import assemble
from appliance.case.today import find_anatomy
from appliance.config import AnatomyConfig
from appliance.contracts import Case, Outcome
from appliance.contracts.anatomy import Anatomy, DensitySource
from appliance.contracts.progress import silent
from appliance.session_headless import read_pair
from engines.grid import box_within

from ...flow.bad_study import on_every_slice
from ...session.small_case import GRID, SHIFT_MM, write_small_pair

MR_OF_HU = (-1000, -150, 0, 150, 300), (5, 620, 340, 410, 30)
"""Fat bright, bone dark: values in no order of density."""


def _mr(dataset: Dataset) -> None:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.Modality = "MR"
    for keyword in ("RescaleIntercept", "RescaleSlope", "RescaleType"):
        delattr(dataset, keyword)
    noise = np.random.default_rng(int(dataset.InstanceNumber)).rayleigh(8, dataset.pixel_array.shape)
    dataset.PixelData = np.rint(np.interp(dataset.pixel_array, *MR_OF_HU) + noise).astype(np.int16).tobytes()


@pytest.fixture(scope="module")
def mr_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Anatomy]:
    folder = write_small_pair(tmp_path_factory.mktemp("mr") / "pair").folder
    on_every_slice(_mr)(folder / "today")
    found = read_pair(folder / "reference", folder / "today")
    (folder / "out").mkdir()
    config = AnatomyConfig(mr_density="bulk")
    anatomy, _ = find_anatomy(config, found.chosen, found.reference, folder / "out", silent)
    return assemble(found.chosen, anatomy), anatomy


def test_contours_are_carried_to_where_an_mr_shows_them(mr_day: tuple[Case, Anatomy]) -> None:
    case, _ = mr_day
    grid = case.image.grid
    for name, at_mm in (("External", (0.0, 0.0, 0.0)), ("PTV", (0.0, -10.0, 0.0)), ("Core", (0.0, 25.0, 0.0))):
        structure = case.structure(name)
        assert structure is not None
        middle_mm = np.average(grid.centres_mm(structure.voxels.index), axis=0, weights=structure.voxels.fraction)
        off_mm = np.abs(middle_mm - np.add(at_mm, SHIFT_MM))
        assert (off_mm[:2] < 1.5).all() and (name == "External" or off_mm[2] < 2.5), (name, off_mm)


def test_an_mr_gets_one_density_for_each_structure_and_says_what_was_not_tested(mr_day: tuple[Case, Anatomy]) -> None:
    case, anatomy = mr_day
    assert anatomy.report.density is DensitySource.BULK
    assert "Dose is computed on bulk densities of today's structures (MR of the day)" in anatomy.report.notes
    shown = case.image.hu[box_within(GRID, case.image.grid)]
    assert set(np.unique(shown)) == {-1000, -150, 0}
    core = case.structure("Core")
    assert core is not None
    within = case.image.hu[core.voxels.mask(case.image.grid.shape)]
    assert np.mean(within == -150) > 0.8  # contours lie on slices, and so end half a slice off
    outcomes = {one.id: one.outcome for one in anatomy.report.findings}
    assert {outcomes["day.swapped"], outcomes["day.other-patient"]} == {Outcome.NOT_TESTED}
    assert outcomes["day.modality"] is Outcome.PASSED
