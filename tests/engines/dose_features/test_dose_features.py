"""Features of the dose network: the kernels against a plain version, distances against SciPy, laws, and refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from engines.dose_features import Anatomy, AnatomyError, Layout, features
from engines.dose_features.volumes import beam_axes

from .anatomies import SHAPE, SPACING, ball, head, mirrored
from .plain_features import beam_channels

FEATURE_TOLERANCE = 1e-4
"""Of numbers of order 1, after forty steps of an optimiser whose sums run in another order."""
FLIPPED = 1e-3
"""Share of points for which a threshold may fall the other way."""


@pytest.fixture(scope="module")
def made():
    return features(head(), threads=2)


@pytest.mark.parametrize(
    "layout", [Layout(), Layout(gantry_deg=(0.0, 72.0, 144.0, 216.0, 288.0)), Layout(levels=(1.0, 0.95, 0.6))]
)
def test_beams_are_those_of_the_plain_version(layout):
    one = head((60.0, 57.0, 48.0), layout=layout)
    first = layout.channels.index("open_100")
    off = np.abs(features(one).tensor[first : first + 8] - beam_channels(one))
    assert off[[0, 1, 2, 4, 5, 6, 7]].max() < FEATURE_TOLERANCE
    assert (off[3] > FEATURE_TOLERANCE).mean() < FLIPPED


def test_distances_are_scipys_up_to_the_limit(made):
    one = head()
    union = np.zeros(SHAPE, bool)
    for percent, (_, mask) in zip((100, 90, 80), one.targets, strict=True):
        union |= mask
        known = np.minimum(distance_transform_edt(~union, SPACING), 60) / 30 * one.possible
        assert np.abs(made.to_image(made.channel(f"distance_{percent}")) - known).max() < 1e-5
    inside = np.minimum(distance_transform_edt(union, SPACING), 30) / 30 * one.possible
    assert np.abs(made.to_image(made.channel("inside_80")) - inside).max() < 1e-5


def test_masks_and_ct_stand_in_their_channels(made):
    one = head()
    assert np.array_equal(made.to_image(made.channel("possible")), one.possible)
    assert np.array_equal(made.to_image(made.channel("Parotid_R")), one.organs["Parotid_R"] & one.possible)
    other = (one.organs["Lens_L"] | one.organs["Lens_R"]) & one.possible
    assert np.array_equal(made.to_image(made.channel("other")), other) and other.any()
    assert np.allclose(made.to_image(made.channel("ct")), np.where(one.possible, one.ct_hu / 1000, 0))
    assert made.to_image(made.channel("prescribed"))[one.targets[0][1]] == pytest.approx(1.0)
    assert not made.channel("Larynx").any()
    assert not features(head(with_ct=False)).channel("has_ct").any()
    outside = made.tensor[:, made.channel("possible") == 0]
    assert not outside.any()


def test_a_mirrored_patient_has_mirrored_features():
    one = head()
    known = features(one).tensor[list(one.layout.mirror_order())][..., ::-1]
    assert np.abs(features(mirrored(one)).tensor - known).max() < 1e-3


def test_the_numbers_do_not_depend_on_threads(made):
    assert np.array_equal(made.tensor, features(head(), threads=1).tensor)


def test_padding_lies_behind_the_patient(made):
    grown = features(head(), multiple=16)
    assert grown.tensor.shape[1:] == (32, 32, 48)
    nz, ny, nx = SHAPE
    assert np.array_equal(grown.tensor[:, :nz, :ny, :nx], made.tensor)
    assert grown.tensor.sum(dtype=float) == pytest.approx(made.tensor.sum(dtype=float))
    assert np.array_equal(grown.to_image(grown.tensor[0]), head().possible)


def test_only_doses_relative_to_the_highest_prescription_count(made):
    other = features(head((35.0, 31.5, 28.0)))
    assert other.unit_gy == 35.0 and made.unit_gy == 70.0
    assert np.abs(other.tensor - made.tensor).max() < FEATURE_TOLERANCE


def test_the_order_of_targets_makes_no_difference(made):
    one = head()
    turned = dataclasses.replace(one, targets=list(reversed(one.targets)))
    assert np.array_equal(features(turned).tensor, made.tensor)


@pytest.mark.parametrize(
    ("gy", "level"), [(66.0, 0), (65.8, 0), (63.0, 1), (59.4, 1), (59.0, 2), (54.0, 2), (52.8, 2), (30.0, 2)]
)
def test_a_target_belongs_to_the_highest_level_that_its_dose_reaches(gy, level):
    mask = ball((0, 0, 0), (3, 3, 3))
    one = Anatomy(ball((0, 0, 0), (9, 9, 9)), {}, [(66.0, mask), (gy, mask)], None, SPACING)
    assert one.level_of(gy) == level


def test_one_target_and_one_beam_are_enough():
    one = dataclasses.replace(head(), targets=[(20.0, ball((0, 0, 0), (4, 4, 4)))], layout=Layout(gantry_deg=(90.0,)))
    made = features(one)
    assert np.isfinite(made.tensor).all()
    plan, target = made.channel("plan_0"), made.channel("target_100") > 0
    assert 0.6 < float(plan[target].mean()) < 1.2


def test_a_beam_at_90_degrees_comes_from_the_left():
    assert np.allclose(beam_axes((0.0, 90.0)), [[-1, 0, 0, 1], [0, 1, 1, 0]], atol=1e-7)


def broken(**changes):
    one = head()
    return lambda: dataclasses.replace(one, **changes)


NOTHING = np.zeros(SHAPE, bool)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (broken(possible=NOTHING), "possible.empty"),
        (broken(targets=[]), "target.none"),
        (broken(targets=[(70.0, NOTHING)]), "target.empty"),
        (broken(targets=[(70.0, ~head().possible)]), "target.outside"),
        (broken(targets=[(0.0, head().possible)]), "target.prescription"),
        (broken(targets=[(float("nan"), head().possible)]), "target.prescription"),
        (broken(ct_hu=np.full(SHAPE, np.nan, np.float32)), "ct.not-finite"),
        (broken(spacing_mm=(3.0, 0.0, 4.0)), "spacing"),
        (broken(spacing_mm=(3.0, float("inf"), 4.0)), "spacing"),
        (broken(organs={"Larynx": NOTHING[:-1]}), "shape"),
        (broken(possible=np.ones(SHAPE, np.uint8)), "shape"),
        (lambda: Layout(organs=("Larynx", "Larynx")), "layout"),
        (lambda: Layout(levels=(1.0, 0.9, 0.95)), "layout"),
        (lambda: Layout(gantry_deg=()), "layout"),
        (lambda: Layout(by_mean=("Heart",)), "layout"),
    ],
)
def test_what_no_features_can_be_made_of_is_refused_by_name(make, rule):
    with pytest.raises(AnatomyError) as caught:
        make()
    assert caught.value.rule == rule
