"""From passes of a network over made-up patients to the factors of a band, and nothing of a patient kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from appliance.prediction.dvh_band import BandCalibration
from engines.dose_interval import REGIONS, RegionTable
from models.dose.calibrate_band import structures, told
from models.dose.data import ROIS
from models.dose.members import Members

SHAPE = (6, 24, 24)
SHARED, NOISE = 0.5, 0.25


TABLES = dict.fromkeys(REGIONS, RegionTable(np.array([0.0, 1.0]), np.array([[1.28, 1.28], [1.96, 1.96]])))
"""Half-widths of 1.28 and 1.96 spreads everywhere."""


def patient(number: int) -> Members:
    """A target and a parotid; the truth is the prediction with errors of the model's kind, spread 2 Gy."""
    rng = np.random.default_rng(number)
    label = np.ones(SHAPE, np.uint16)
    target, organ = (np.zeros(SHAPE, bool) for _ in range(2))
    target[:, 2:12], organ[:, 14:22] = True, True
    label[target] |= 1 << ROIS.index("PTV70")
    label[:3, 2:12] |= 1 << ROIS.index("PTV56")
    label[organ] |= 1 << ROIS.index("LeftParotid")
    dose = np.where(target, 70, 10 + 30 * np.linspace(0, 1, SHAPE[2])[None, None, :]).astype(np.float32)
    spread = np.full(SHAPE, 2.0, np.float32)
    error = NOISE * rng.standard_normal(SHAPE)
    for region in (target, organ):
        error[region] += SHARED * rng.standard_normal()
    true = np.maximum(dose + 1.28 * 2.0 * error, 0).astype(np.float32)
    return Members(
        f"made_{number}", np.stack([dose] * 2), np.stack([spread] * 2), true, label, (3.0, 3.0, 3.0), (0,) * 11
    )


def test_factors_of_made_up_patients_are_those_they_were_made_with() -> None:
    made = told(list(structures((patient(n) for n in range(60)), TABLES)), "f" * 64)
    known = BandCalibration.of(made)
    for name in ("highest", "lower", "organ"):
        factors = known.factors[name]
        assert factors.middle == pytest.approx(0.0, abs=0.3)
        assert factors.high - factors.low == pytest.approx(2 * 1.28 * SHARED, rel=0.35)
        assert 0.6 <= made["classes"][name]["left_out"]["share"] <= 0.95
        assert made["classes"][name]["if_wrong_together"]["width_gy"] > made["classes"][name]["left_out"]["width_gy"]
    assert made["patients"] == 60
    assert "made_" not in json.dumps(made)
