"""Rows that an organ splits, drawn by hand, and the angle that follows."""

from __future__ import annotations

import numpy as np

from appliance.planning.collimator_angle import split_rows
from engines.photon.frame import beam_frame


def line(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    xx, zz = np.meshgrid(x, z)
    return np.stack([xx.ravel(), np.zeros(xx.size), zz.ravel()], axis=1).astype(np.float32)


TARGET = line(np.arange(-30.0, 31.0), np.arange(-20.0, 20.0))
ORGAN = line(np.arange(-5.0, 5.0), np.arange(-20.0, 20.0))


def test_an_organ_along_the_axis_splits_rows_across_it_and_none_along_it():
    """Target 60 x 40 mm, organ 10 mm wide along its middle: at collimator 0 each of its 8 rows, at 90 none."""
    frames = [beam_frame((0.0, 0.0, 0.0), 0.0, collimator_deg=angle) for angle in (0.0, 90.0)]
    across, along = (split_rows(frame, TARGET, ORGAN) for frame in frames)
    assert 8 <= across <= 9
    assert along == 0


def test_without_an_organ_nothing_is_split():
    assert split_rows(beam_frame((0.0, 0.0, 0.0), 40.0), TARGET, ORGAN[:0]) == 0
