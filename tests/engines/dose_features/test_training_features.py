"""The product's features are the training's: made-up patients, and real ones where the data folder is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from engines.dose_features import Anatomy, Layout, features  # noqa: E402
from models.dose.data import ROIS, Patient, load_patient  # noqa: E402
from models.dose.features import CHANNELS  # noqa: E402
from models.dose.features import features as training_features  # noqa: E402
from tests.dose_network.phantom import patient  # noqa: E402

OPENKBP = Path(__file__).resolve().parents[4] / "shared" / "openkbp"
TOLERANCE = 1e-4
PLAN_TOLERANCE, PLAN_MEAN_TOLERANCE = 2e-3, 1e-5
"""Of quick plans, in a voxel and over all of them: forty steps of Adam divide by gradients near zero, so that the order
of a sum shows. Seen: 3e-4 (0.02 Gy) in one of ten patients, 4e-5 in the others."""
PLANS = ("plan_0", "plan_1", "plan_2", "largest_beam")
FLIPPED = 1e-4
"""Share of voxels where a beam's half dose may fall on either side of rounding."""


def to_lps(array: np.ndarray) -> np.ndarray:
    """From axes (posterior, left, inferior)."""
    return np.ascontiguousarray(array.transpose(2, 0, 1)[::-1])


def anatomy_of(one: Patient) -> Anatomy:
    masks = {name: to_lps(one.roi(name)) for name in ROIS}
    organs = {name: masks[roi] for name, roi in zip(Layout().organs, ROIS[1:8], strict=True) if masks[roi].any()}
    targets = [(gy, masks[roi]) for gy, roi in zip((56.0, 63.0, 70.0), ROIS[8:], strict=True) if masks[roi].any()]
    ct = None if one.ct_hu is None else to_lps(one.ct_hu)
    posterior, left, inferior = one.spacing_mm
    return Anatomy(masks[ROIS[0]], organs, targets, ct, (inferior, posterior, left))


def agree(one: Patient) -> None:
    known, made = training_features(one, torch.device("cpu")).numpy(), features(anatomy_of(one))
    assert known.shape == made.tensor.shape and len(made.channels) == len(CHANNELS)
    for n, name in enumerate(CHANNELS):
        off = np.abs(known[n] - made.tensor[n])
        if name == "beams_seen":
            assert (off > TOLERANCE).mean() < FLIPPED
        elif name in PLANS:
            assert off.max() < PLAN_TOLERANCE and off.mean() < PLAN_MEAN_TOLERANCE, name
        else:
            assert off.max() < TOLERANCE, name
    assert not made.channel("other").any()


@pytest.mark.parametrize("with_ct", [True, False])
def test_a_made_up_patient_has_the_trainings_features(with_ct):
    agree(patient(shift=1, with_ct=with_ct))


@pytest.mark.parametrize("name", ["valid/pt_201", "valid/pt_215", "valid/pt_230", "train/pt_34", "train/pt_1"])
def test_a_real_patient_has_the_trainings_features(name):
    path = OPENKBP / f"{name}.npz"
    if not path.is_file():
        pytest.skip("the data folder (../shared/openkbp) is not on this machine")
    one = load_patient(path)
    assert one is not None
    agree(one)
