"""Cases and tasks: what is trained on, what never is, and that every task can be planned."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from appliance.builtin import import_openkbp
from appliance.case import assemble
from appliance.contracts import Comparator
from appliance.errors import RefusedInput, RefusedObject
from appliance.evaluation import goal_set_for_site, goals_for_case
from appliance.evaluation.goal_conflicts import sure_contradictions
from appliance.evaluation.plan_scorer import plan_scorer
from appliance.session_headless import read_case
from appliance.session_work import prescribed
from models.policy.cases import builtin_case, openkbp_case, openkbp_cases, patient_number
from models.policy.making import make_tasks, plain_tasks
from models.policy.stored import file_of, load_case, save_case
from models.policy.tasks import foreseen_of, system_of
from models.policy.varied import Variation, scaled, varied_goal_set

from ..planning.cases import cylinder_case, goal

TRAINING = Path(__file__).resolve().parents[3] / "shared" / "openkbp" / "train"


@pytest.fixture(scope="module")
def head_neck():
    return builtin_case("head-neck")


@pytest.fixture(scope="module")
def cache(tmp_path_factory, head_neck):
    folder = tmp_path_factory.mktemp("cache")
    save_case(head_neck, file_of(folder, "tg119-head-neck"))
    return folder


def packed_patient(name: str) -> Path:
    path = TRAINING / name
    if not path.is_file():
        pytest.skip(f"the OpenKBP data set is not at hand ({path})")
    return path


@pytest.mark.parametrize("name", ["pt_201", "pt_240", "openkbp-201", "pt_0", "patient", "pt_7x"])
def test_held_out_and_unnamed_patients_are_refused(name):
    with pytest.raises(RefusedInput, match="training takes pt_1 to pt_200 only"):
        patient_number(name)


def test_a_held_out_patient_is_refused_before_its_file_is_opened(tmp_path):
    with pytest.raises(RefusedInput, match="held out"):
        openkbp_case(tmp_path / "pt_201.npz")


def test_a_patient_read_directly_has_the_voxels_of_its_import_through_dicom(tmp_path):
    packed = packed_patient("pt_157.npz")
    direct = openkbp_case(packed)
    import_openkbp(packed, tmp_path / "study")
    imported = assemble(read_case(tmp_path / "study")[0])
    assert direct.image.grid.shape == imported.image.grid.shape
    assert direct.image.grid.spacing_mm == imported.image.grid.spacing_mm
    assert direct.image.grid.origin_mm == pytest.approx(imported.image.grid.origin_mm, abs=1e-9)
    assert direct.patient_position == imported.patient_position
    np.testing.assert_array_equal(direct.image.hu, imported.image.hu)
    for one, other in zip(direct.structures, imported.structures, strict=True):
        assert (one.number, one.tg263, one.kind) == (other.number, other.tg263, other.kind)
        np.testing.assert_array_equal(one.voxels.index, other.voxels.index)
        np.testing.assert_array_equal(one.voxels.fraction, other.voxels.fraction)
    # Through DICOM the dose is rounded to the step of its scaling.
    np.testing.assert_allclose(direct.reference_dose_gy, imported.reference_dose_gy, atol=1e-3)


def test_a_kept_case_is_read_back_whole(tmp_path):
    case = cylinder_case(spacing_mm=8.0)
    save_case(case, tmp_path / "one.npz")
    again = load_case(tmp_path / "one.npz")
    assert again.image.grid == case.image.grid
    assert (again.digest, again.fractions, again.patient_position) == (case.digest, 5, "HFS")
    np.testing.assert_array_equal(again.image.hu, case.image.hu)
    assert [(s.tg263, s.kind) for s in again.structures] == [(s.tg263, s.kind) for s in case.structures]
    for one, other in zip(again.structures, case.structures, strict=True):
        np.testing.assert_array_equal(one.voxels.index, other.voxels.index)
        np.testing.assert_array_equal(one.voxels.fraction, other.voxels.fraction)


def test_a_missing_case_says_that_every_machine_needs_the_folder(tmp_path):
    with pytest.raises(RefusedObject, match="Every worker must see the cache folder"):
        load_case(tmp_path / "openkbp-3.npz")


def test_patients_without_a_ct_are_left_out_and_not_read_again(tmp_path):
    packed_patient("pt_8.npz")
    assert openkbp_cases(TRAINING, [8, 157], tmp_path) == ("openkbp-157",)
    assert (tmp_path / "openkbp-8.refused").read_text("utf-8").startswith("The OpenKBP file was refused")
    assert openkbp_cases(tmp_path / "elsewhere", [8], tmp_path) == ()
    with pytest.raises(RefusedInput, match="held out"):
        openkbp_cases(TRAINING, [201], tmp_path)


def test_tasks_are_the_same_for_the_same_seed_and_differ_otherwise(cache):
    names, variation = ["tg119-head-neck"], Variation(plain=0.0)
    tasks = make_tasks(names, cache, count=12, seed=3, variation=variation)
    assert tasks == make_tasks(names, cache, count=12, seed=3, variation=variation)
    assert len({task.goal_set.digest for task in tasks}) > 8
    assert {task.goal_set.beams for task in tasks} == {5, 7, 9, 11}
    assert tasks != make_tasks(names, cache, count=12, seed=4, variation=variation)


@pytest.mark.parametrize("seed", range(40))
def test_every_varied_goal_set_can_be_planned_and_judged(head_neck, seed):
    base = goal_set_for_site("tg119-head-neck")
    variation = Variation(plain=0.0, goal_dropped=0.5, limit_moved=1.0, priority_changed=0.5, added=4)
    made = varied_goal_set(base, head_neck, variation, np.random.default_rng(seed))
    (target, dose_gy), *_ = made.prescription
    assert 0.85 * 50 - 0.01 <= dose_gy <= 1.08 * 50 + 0.01
    assert any(g.structure == target and g.comparator is Comparator.AT_LEAST for g in made.goals)
    assert not sure_contradictions(made.goals)
    assert goals_for_case(made, prescribed(head_neck, made)) == made
    counted = Counter((g.structure, g.metric, g.comparator) for g in made.goals)
    assert max(counted.values()) == 1
    best = tuple(0.0 if g.caps_dose else 1e3 for g in made.goals)
    assert plan_scorer(made)(best) == pytest.approx(100.0)


def test_a_target_goal_follows_its_prescription_and_a_volume_keeps_its_share():
    assert scaled(goal("PTV", "D95%", ">=", 50.0), 1.1).limit == pytest.approx(55.0)
    volume = scaled(goal("PTV", "V50Gy", ">=", 95.0, unit="%"), 0.9)
    assert (volume.metric.argument, volume.limit) == (pytest.approx(45.0), 95.0)


def test_a_plain_task_has_what_ships(cache, head_neck):
    (task,) = plain_tasks(["tg119-head-neck"], cache)
    shipped = goal_set_for_site("tg119-head-neck")
    assert task.goal_set.digest == goals_for_case(shipped, prescribed(head_neck, shipped)).digest
    assert system_of(task, cache) is system_of(task, cache)


def test_a_stand_in_for_a_prediction_is_the_reference_dose_and_a_little_off(tmp_path):
    save_case(openkbp_case(packed_patient("pt_157.npz")), file_of(tmp_path, "openkbp-157"))
    made = make_tasks(["openkbp-157"], tmp_path, count=6, seed=1, variation=Variation(plain=1.0), foreseen=1.0)
    told = [foreseen_of(task, tmp_path) for task in made]
    assert told[0] == foreseen_of(made[0], tmp_path)
    means = np.asarray([[one.value for one in task] for task in told])
    assert np.all(means.std(axis=0) > 0.1) and np.all(means.std(axis=0) < 4.0)
    target = means[:, [g.structure == "PTV_7000" for g in made[0].goal_set.goals]]
    assert np.all(np.abs(target - 66.5) < 8.0)
