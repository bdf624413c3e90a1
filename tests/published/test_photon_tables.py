"""The shipped beam model and machine beside published tables: plausibility of a generic beam, not its commissioning."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from appliance.planning import load_machine
from appliance.planning.beam_models import load_calibrated
from engines.photon.calibrate import axis_dose

RPC_6_MV = {
    60.0: (0.914, 0.930),
    40.0: (0.855, 0.878),
    30.0: (0.820, 0.842),
    20.0: (0.764, 0.790),
}
"""Output of square fields (side in mm) relative to 100 mm, measured by the Radiological Physics Center on linacs at
6 MV: the means for Siemens (n about 20, Table 3) and Elekta (Table 2). Followill et al., J Appl Clin Med Phys
13(5):282-289 (2012), doi 10.1120/jacmp.v13i5.3962."""
SPREAD = 0.015
"""The largest standard deviation in those rows."""


@pytest.mark.parametrize("side_mm", RPC_6_MV)
def test_small_field_output_lies_in_the_spread_of_measured_linacs(side_mm):
    model, _ = load_calibrated("generic_6mv")
    depth_mm = np.array([100.0])
    field, open_field = (
        float(axis_dose(model, field_mm=side, ssd_mm=1000.0, depth_mm=depth_mm)[0]) for side in (side_mm, 100.0)
    )
    low, high = RPC_6_MV[side_mm]
    assert low - SPREAD <= field / open_field <= high + SPREAD


def test_the_120_leaf_collimator_is_the_published_one():
    """LoSasso, Chui, Ling, Med Phys 25:1919 (1998) and later reports of the 120-leaf type: 60 pairs over 400 mm, the
    inner 40 pairs 5 mm wide and the outer 20 pairs 10 mm at the isocentre plane."""
    widths = [high - low for low, high in pairwise(load_machine("millennium120").mlc.boundaries_mm)]
    assert widths == pytest.approx([10.0] * 10 + [5.0] * 40 + [10.0] * 10)
    assert sum(widths) == pytest.approx(400.0)


def test_beam_hardness_is_that_of_6_mv():
    """TPR20,10 of 6 MV linacs lies between about 0.63 and 0.71 (the quality index of IAEA TRS-398, 2000, with the
    relation of its section 6.3.1: TPR20,10 = 1.2661 PDD20,10 - 0.0595 for 100 x 100 mm2 at SSD 1000 mm)."""
    model, _ = load_calibrated("generic_6mv")
    at_100, at_200 = axis_dose(model, field_mm=100.0, ssd_mm=1000.0, depth_mm=np.array([100.0, 200.0]))
    quality = 1.2661 * float(at_200 / at_100) - 0.0595
    assert 0.63 < quality < 0.71
