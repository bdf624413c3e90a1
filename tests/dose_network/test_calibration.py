"""Calibration on drawn patients whose errors are known: what is promised is held by those that were left out."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from engines.dose_interval import LEVELS

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from models.dose.calibrate import part_of, table
from models.dose.calibration_fit import Known, fit, held_out_coverage
from models.dose.calibration_plot import SHOWN, coverage_svg
from models.dose.data import ROIS
from models.dose.members import Members

SHAPE = (10, 14, 16)


def drawn(number: int) -> Members:
    """Errors are Laplace of the told spread, times 1.5 in every patient, shared by both passes."""
    random = np.random.default_rng(number)
    spread = random.uniform(1.0, 4.0, SHAPE)
    dose = random.uniform(10.0, 60.0, SHAPE)
    label = np.ones(SHAPE, np.uint16)
    for name, place in (("PTV70", 2), ("PTV56", 6), ("SpinalCord", 10), ("LeftParotid", 13)):
        label[:, :, place : place + 2] |= np.uint16(1 << ROIS.index(name))
    true = np.maximum(dose + random.laplace(0.0, 1.5 * spread), 0.0)
    same = (np.stack([array, array]).astype(np.float32) for array in (dose, spread))
    return Members(
        f"pt_{number}", *same, true.astype(np.float32), label, (4.0, 4.0, 3.0), (0,) * len(ROIS)
    )  # fmt: skip


@pytest.fixture(scope="module")
def patients() -> list[Known]:
    return [Known.of(drawn(number), plain=False) for number in range(30)]


def test_factors_are_those_of_a_laplace_distribution(patients: list[Known]) -> None:
    """The share p of |x| / scale lies below -ln(1 - p): 1.61 and 3.00, times the 1.5 that the spread lacks."""
    for name, found in fit(patients).regions.items():
        for row, level in zip(found.factors, LEVELS, strict=True):
            assert row == pytest.approx(-1.5 * np.log(1 - level), rel=0.12), name


def test_patients_left_out_are_covered(patients: list[Known]) -> None:
    coverage = held_out_coverage(patients)
    assert coverage["voxels"]["cases"] == 30
    assert coverage["voxels"]["covered"] == pytest.approx(LEVELS, abs=0.015)
    assert coverage["mean organs"]["cases"] == 60
    assert coverage["D_95 highest targets"]["cases"] == 30
    assert all(share >= level - 0.1 for share, level in zip(coverage["mean organs"]["covered"], LEVELS, strict=True))


def test_organ_voxels_without_dose_are_counted_and_sure() -> None:
    whole = drawn(1)
    beyond = [0] * len(ROIS)
    beyond[ROIS.index("SpinalCord")] = 7
    parts = (whole.doses, whole.spreads, whole.true_gy, whole.label, whole.spacing_mm)
    _, voxels = Known.of(Members("pt_1", *parts, tuple(beyond)), plain=False).structures["SpinalCord"]
    assert len(voxels.dose) == int((whole.label >> ROIS.index("SpinalCord") & 1).sum()) + 7
    assert (voxels.dose[-7:] == 0).all()
    assert (voxels.scale[-7:] == 0).all()


def test_what_is_written_can_be_drawn_and_read(patients: list[Known]) -> None:
    part = part_of(patients)
    rows = table(part["coverage"]).splitlines()
    assert len(rows) == 2 + len(part["coverage"])
    drawing = ElementTree.fromstring(coverage_svg(part["coverage"], LEVELS))
    dots = [node for node in drawing.iter() if node.tag.endswith("circle")]
    assert len(dots) == 2 * sum(name in part["coverage"] for name, _ in SHOWN)
