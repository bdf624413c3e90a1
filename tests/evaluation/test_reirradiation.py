"""An earlier course with known truth: the TG-119 head-and-neck phantom in another frame, turned and shifted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from appliance.builtin import write_study
from appliance.case import assemble
from appliance.contracts import Case, ClinicalGoal, Comparator, GoalSet, Metric
from appliance.contracts.prior import PriorCourse, PriorMaterial
from appliance.errors import ModelError, PriorNotSummed
from appliance.evaluation.reirradiation import assess_prior, place, read_tolerances, shipped_tolerances
from appliance.evaluation.reirradiation.tolerances import alpha_beta_of, recovery_of
from appliance.inbound import assess, read_folder
from engines.grid import Grid, VoxelSet
from engines.radiobiology import eqd2
from engines.registration import RigidTransform, moved

TRUTH = RigidTransform.of((9.0, -6.0, 12.0), (2.0, -3.0, 4.0), (0.0, 0.0, 10.0))
"""From today's frame to the earlier one."""
PRIOR_GY, TODAY_GY = 40.0, 24.0


def case_of(name, folder) -> Case:
    write_study(name, folder, day="reference", uid_seed="t")
    return assemble(assess(read_folder(folder)).chosen)


def with_dose(case: Case, dose_gy) -> Case:
    return replace(case, reference_dose_gy=dose_gy.astype(np.float32))


def moved_region(voxels: VoxelSet, source: Grid, target: Grid, to_source: RigidTransform) -> VoxelSet:
    dense = moved(voxels.dense(source.shape), source, target, to_source, outside=0.0)
    dense[dense < 0.01] = 0.0
    return VoxelSet.from_dense(dense)


def carried(case: Case, motion: RigidTransform, dose_gy) -> Case:
    """The same patient in another frame of reference, in which everything lies where `motion` takes it."""
    grid = case.image.grid
    prior_grid = Grid(tuple(v - 20 for v in grid.origin_mm), grid.spacing_mm, tuple(n + 20 for n in grid.shape))
    back = motion.inverse
    hu = moved(case.image.hu, grid, prior_grid, back, outside=-1000.0).round().astype(np.int16)
    structures = tuple(
        replace(item, voxels=moved_region(item.voxels, grid, prior_grid, back), contours=()) for item in case.structures
    )
    return replace(
        case,
        digest="p" * 64,
        frame_of_reference_uid="1.2.3.4",
        image=replace(case.image, grid=prior_grid, hu=hu),
        structures=structures,
        reference_dose_gy=moved(dose_gy, grid, prior_grid, back, outside=0.0),
    )


@pytest.fixture(scope="module")
def today(tmp_path_factory) -> Case:
    return case_of("head-neck", tmp_path_factory.mktemp("today") / "s")


@pytest.fixture(scope="module")
def prior_gy(today):
    """40 Gy below z = 30 mm of today's frame, falling to 0 over the 40 mm above: 1 Gy a mm in the parotids."""
    z_mm = today.image.grid.axes_mm()[2]
    profile = PRIOR_GY * np.clip((70.0 - z_mm) / 40.0, 0, 1)
    return np.broadcast_to(profile[:, None, None], today.image.grid.shape).astype(np.float32)


@pytest.fixture(scope="module")
def prior(today, prior_gy) -> Case:
    return carried(today, TRUTH, prior_gy)


@pytest.fixture(scope="module")
def placed(today, prior):
    return place(today, PriorMaterial(prior, 20))


def goals(*extra):
    cord = ClinicalGoal("SpinalCord", Metric.parse("Max"), Comparator.AT_MOST, 45, "Gy", 1, "a source")
    parotid = ClinicalGoal("Parotid_L", Metric.parse("Mean"), Comparator.AT_MOST, 26, "Gy", 2, "a source")
    volume = ClinicalGoal("SpinalCord", Metric.parse("V35Gy"), Comparator.AT_MOST, 10, "%", 2, "a source")
    cover = ClinicalGoal("PTV", Metric.parse("D95%"), Comparator.AT_LEAST, 50, "Gy", 1, "a source")
    return GoalSet("s", "S", "head-neck", 25, (("PTV", 50.0),), (cord, parotid, volume, cover, *extra), "d")


def uniform(case, value=TODAY_GY):
    return np.full(case.image.grid.shape, value, np.float32)


def material(case, fractions=20, days=800.0):
    """Registered already: what is tested is the sum."""
    return PriorMaterial(case, fractions, days_since=days, to_prior=TRUTH.matrix)


def in_both(course, structure, metric):
    return next(item for item in course.results if item.structure == structure and item.metric.startswith(metric))


def test_the_known_motion_is_found_within_a_millimetre(today, placed):
    for organ in today.structures:
        points = today.image.grid.centres_mm(organ.voxels.index).astype(np.float64)
        assert placed.to_prior.error_mm(TRUTH, points) < (1.5 if organ.tg263 == "External" else 1.0), organ.tg263
    quality = placed.quality
    assert quality.method == "rigid, from the images"
    assert quality.similarity > 0.9 and quality.body_overlap > 0.98 and quality.surface_mm < 1.0
    assert quality.organs_compared == 3 and quality.organ_overlap > 0.9 and quality.organ_distance_mm < 1.0
    assert quality.rotation_deg == pytest.approx(TRUTH.rotation_deg, abs=0.5)
    assert quality.uncertainty_mm == 2.0


def test_the_sum_is_that_of_the_hand(today, prior):
    course = assess_prior(today, uniform(today), 12, material(prior), goal_set=goals())
    # cord, alpha/beta 2: 40 Gy in 20 is 40; 24 Gy in 12 is 24; limit 45 Gy in 25 fractions of 1.8 Gy
    cord = in_both(course, "SpinalCord", "Max")
    assert cord.alpha_beta_gy == 2.0 and "Nieder" in cord.alpha_beta_source
    assert cord.value == pytest.approx(PRIOR_GY + TODAY_GY, abs=0.01)
    assert cord.limit == pytest.approx(45 * (1.8 + 2) / 4)
    assert not cord.met and cord.certain and cord.cumulative and cord.recovery == 0
    assert cord.prior_largest_gy == pytest.approx(PRIOR_GY, abs=0.01)
    # V35Gy of the goal, 1.4 Gy a fraction, is V29.75Gy of EQD2: all of the cord but its top
    volume = in_both(course, "SpinalCord", "V29.75Gy")
    assert volume.unit == "%" and volume.limit == 10 and 50 < volume.value < 100
    assert course.notes[0].startswith("The goals on today's plan are judged on today's dose alone")
    assert not any(item.structure == "PTV" for item in course.results)


def test_each_voxel_of_the_earlier_course_has_its_own_fraction_size(today, prior, prior_gy):
    course = assess_prior(today, uniform(today), 3, material(prior, 5), goal_set=goals())
    parotid = in_both(course, "Parotid_L", "Mean")
    voxels = today.structure("Parotid_L").voxels
    truth = eqd2(prior_gy.reshape(-1)[voxels.index], 5, 3.0) + eqd2(TODAY_GY, 3, 3.0)
    assert parotid.value == pytest.approx(float(np.average(truth, weights=voxels.fraction)), abs=0.3)
    assert parotid.low < parotid.value < parotid.high


def test_a_point_in_a_steep_dose_gets_the_band_of_the_registration(today, prior):
    # Within 2 mm the earlier dose is a little under 2 Gy more or less, where a voxel centre is that near.
    course = assess_prior(today, uniform(today), 12, material(prior), goal_set=goals())
    parotid = in_both(course, "Parotid_L", "Mean")
    assert parotid.high - parotid.value == pytest.approx(parotid.value - parotid.low, rel=0.5)
    assert 0.2 < parotid.high - parotid.value < 2.5


def test_recovery_counts_only_when_asked_for_and_only_where_a_source_is(today, prior):
    known = material(prior)
    plain = assess_prior(today, uniform(today), 12, known, goal_set=goals())
    asked = assess_prior(today, uniform(today), 12, known, goal_set=goals(), count_recovery=True)
    cord = in_both(asked, "SpinalCord", "Max")
    assert cord.recovery == 0.5 and "Doi" in cord.recovery_source
    assert cord.value == pytest.approx(0.5 * PRIOR_GY + TODAY_GY, abs=0.01)
    assert in_both(asked, "Parotid_L", "Mean").value == in_both(plain, "Parotid_L", "Mean").value
    assert "no source for this organ" in in_both(asked, "Parotid_L", "Mean").recovery_source
    limit = next(item for item in asked.results if "BED" in item.limit_from)
    assert limit.recovery == 0 and limit.value == pytest.approx(PRIOR_GY + TODAY_GY, abs=0.01)


def test_the_published_limit_on_the_cord_applies_under_its_own_conditions(today, prior):
    def limits(days, today_gy=TODAY_GY, fractions=12):
        known = material(prior, days=days)
        course = assess_prior(today, uniform(today, today_gy), fractions, known, goal_set=goals())
        return [item for item in course.results if "BED" in item.limit_from], " ".join(course.notes)

    found, _ = limits(800)
    assert found[0].limit == pytest.approx(135.5 / 2) and found[0].met
    found, notes = limits(100)
    assert not found and "182 days" in notes
    found, notes = limits(None)
    assert not found and "time since the earlier course is not known" in notes
    found, notes = limits(800, today_gy=60.0, fractions=30)
    assert not found and "49 Gy EQD2 at most" in notes


def test_an_organ_that_the_earlier_course_spared_stands_alone(today, prior):
    cold = replace(prior, reference_dose_gy=np.zeros(prior.image.grid.shape, np.float32))
    course = assess_prior(today, uniform(today), 12, material(cold), goal_set=goals())
    assert course.results == ()
    assert sum("stands alone" in note for note in course.notes) == 3


def test_where_todays_dose_ends_the_earlier_one_still_counts(today, prior):
    dose_gy = uniform(today)
    dose_gy[: today.image.grid.shape[0] // 4] = np.nan
    course = assess_prior(today, dose_gy, 12, material(prior), goal_set=goals())
    assert in_both(course, "SpinalCord", "Max").value == pytest.approx(PRIOR_GY + TODAY_GY, abs=0.01)
    assert any("does not reach" in note and "SpinalCord" in note for note in course.notes)


def test_a_registration_object_is_preferred_and_judged_all_the_same(today, prior):
    given = place(today, PriorMaterial(prior, 20, to_prior=TRUTH.matrix))
    assert given.quality.method == "registration object"
    assert np.array_equal(given.to_prior.matrix, TRUTH.matrix)
    wrong = RigidTransform.of((80.0, 0.0, 0.0)).matrix @ TRUTH.matrix
    with pytest.raises(PriorNotSummed, match="registration object"):
        place(today, PriorMaterial(prior, 20, to_prior=wrong))
    mirror = np.diag([-1.0, 1, 1, 1]) @ TRUTH.matrix
    with pytest.raises(PriorNotSummed, match="mirrors"):
        place(today, PriorMaterial(prior, 20, to_prior=mirror))


def test_a_mirrored_patient_is_refused(today, prior_gy):
    # Image, outline and dose of this phantom are their own mirror image; the parotids change sides.
    flipped = carried(today, TRUTH, prior_gy)
    names = {"Parotid_L": "Parotid_R", "Parotid_R": "Parotid_L"}
    structures = tuple(replace(item, tg263=names.get(item.tg263, item.tg263)) for item in flipped.structures)
    with pytest.raises(PriorNotSummed, match=r"Parotid_[LR] lies \d+ mm away"):
        place(today, material(replace(flipped, structures=structures)))


def test_another_patient_is_refused_by_name_and_by_shape(today, prior, tmp_path):
    other = replace(prior, identity=replace(prior.identity, patient_id="SOMEONE-ELSE"))
    with pytest.raises(PriorNotSummed, match="another patient ID"):
        place(today, PriorMaterial(other, 20))
    slab = case_of("c-shape", tmp_path / "s")
    slab = replace(slab, identity=replace(slab.identity, patient_id=""), frame_of_reference_uid="1.2.9")
    with pytest.raises(PriorNotSummed, match="its image does not fit today's"):
        place(today, PriorMaterial(slab, 20))


@pytest.mark.parametrize(
    ("fractions", "earlier", "shape", "match"),
    [(0, 20, True, "today's course"), (12, 0, True, "the earlier course"), (12, 20, False, "not on the image grid")],
)
def test_what_is_not_known_is_asked_for(today, prior, fractions, earlier, shape, match):
    dose_gy = uniform(today) if shape else np.zeros((2, 2, 2), np.float32)
    with pytest.raises(PriorNotSummed, match=match):
        assess_prior(today, dose_gy, fractions, PriorMaterial(prior, earlier), goal_set=goals())


def test_an_earlier_course_without_dose_is_refused(today, prior):
    bare = material(replace(prior, reference_dose_gy=None))
    with pytest.raises(PriorNotSummed, match="has no dose"):
        assess_prior(today, uniform(today), 12, bare, goal_set=goals())


def test_a_shorter_scan_that_begins_elsewhere_is_found_all_the_same(today, prior):
    lower = prior.image.grid.shape[0] // 2
    grid = prior.image.grid.cropped((0, 0, 0), (lower, *prior.image.grid.shape[1:]))

    def cut(voxels):
        return VoxelSet.from_dense(voxels.dense(prior.image.grid.shape)[:lower])

    short = replace(
        prior,
        image=replace(prior.image, grid=grid, hu=prior.image.hu[:lower]),
        structures=tuple(replace(item, voxels=cut(item.voxels)) for item in prior.structures),
        reference_dose_gy=prior.reference_dose_gy[:lower],
    )
    # The lower half of a straight neck fits anywhere along itself but at its end, which both images show.
    found = place(today, PriorMaterial(short, 20))
    points = today.image.grid.centres_mm(today.structure("SpinalCord").voxels.index).astype(np.float64)
    assert found.to_prior.error_mm(TRUTH, points) < 3.0


def test_the_same_frame_needs_no_registration(today, prior_gy):
    same = with_dose(today, prior_gy)
    found = place(today, PriorMaterial(same, 20))
    assert np.array_equal(found.to_prior.matrix, np.eye(4))
    assert found.quality.shift_mm == 0


def test_every_row_of_the_table_has_a_source():
    table = shipped_tolerances()
    for row in (*table.tissue, *table.recovery, *table.limit):
        assert row.doi.startswith("10.") and row.statement and row.checked
    assert alpha_beta_of(table, "SpinalCord_PRV05").value == 2.0
    assert alpha_beta_of(table, "Bladder").source.startswith("chosen")
    assert recovery_of(table, "SpinalCord", 100).value == 0
    assert recovery_of(table, "SpinalCord", 200).value == 0.25
    assert recovery_of(table, "Bladder", 2000).value == 0
    with pytest.raises(ModelError, match="doi"):
        read_tolerances(
            b'[default]\nalpha_beta_gy=3.0\nalpha_beta_source="chosen"\n[[tissue]]\nstructures=["X"]\n'
            b'alpha_beta_gy=2.0\nauthors="Abc"\njournal="Journal"\nvolume="1"\npage="1"\nyear=2000\n'
            b'statement="so it is"\nchecked="here"\n'
        )


def test_a_prior_course_survives_json(today, prior):
    course = assess_prior(today, uniform(today), 12, material(prior), goal_set=goals())
    adapter = TypeAdapter(PriorCourse)
    assert adapter.validate_json(adapter.dump_json(course)) == course
