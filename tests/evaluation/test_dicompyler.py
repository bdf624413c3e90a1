"""Our DVHs of the TG-119 cases, on 2 mm pixels with partial volumes, beside those of dicompyler-core on 0.5 mm pixels,
which it counts if their centre is inside a contour. The dose is the same formula."""

from __future__ import annotations

import json

import numpy as np
import pytest

from appliance.case.image import read_image
from appliance.case.structure_set import read_structures
from engines.dvh import DoseVolume

from .dicompyler import CASES, STORED, dose_gy, written

MOST_VOLUME, MOST_CURVE_PERCENT, MOST_GY, MOST_MEAN_GY = 0.015, 0.3, 0.1, 0.02
"""Differences that 0.5 mm pixels at edges explain: of the volume (relative; largest for thin cylinders), of the curve
at any dose (of the volume), of D_x% and of means."""


@pytest.fixture(scope="module", params=CASES)
def both(request, tmp_path_factory):
    """(peer's answers, our DoseVolume in cc) by structure."""
    study = written(request.param, tmp_path_factory.mktemp("study"))
    series = read_image([image.path for image in study.images])
    dose = dose_gy(study.grid).reshape(-1)
    ours = {
        item.name: DoseVolume.of(dose[item.voxels.index], item.voxels.fraction * study.grid.voxel_volume_cc)
        for item in read_structures(study.structure_set.path, series).structures
    }
    theirs = json.loads(STORED.read_text("utf-8"))[request.param]["structures"]
    assert ours.keys() == theirs.keys()
    return theirs, ours


def test_volumes(both) -> None:
    theirs, ours = both
    for name, found in ours.items():
        assert found.total == pytest.approx(theirs[name]["volume_cc"], rel=MOST_VOLUME), name


def test_curves(both) -> None:
    theirs, ours = both
    for name, found in ours.items():
        percent = [100 * found.volume_at_dose(level) / found.total for level in theirs[name]["level_gy"]]
        np.testing.assert_allclose(percent, theirs[name]["volume_percent"], atol=MOST_CURVE_PERCENT, err_msg=name)


def test_doses_at_volumes_and_means(both) -> None:
    theirs, ours = both
    for name, found in ours.items():
        assert found.mean_gy == pytest.approx(theirs[name]["mean_gy"], abs=MOST_MEAN_GY), name
        for percent, dose in theirs[name]["dose_at_percent"].items():
            assert found.dose_at_percent(float(percent)) == pytest.approx(dose, abs=MOST_GY), (name, percent)
