"""From a case to what the dose network is told, and from its dose back to the image."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest

from appliance.builtin import import_openkbp, write_study
from appliance.case import assemble
from appliance.contracts import Image, PrescribedTarget, Received, StructureKind
from appliance.errors import InconsistentCase
from appliance.evaluation import choose_goal_set, goals_for_case
from appliance.prediction.anatomy import network_anatomy
from appliance.prediction.network_grid import NetworkGrid
from engines.dose_features import Anatomy, Layout, features
from engines.grid import Grid, VoxelSet

OPENKBP = Path(__file__).resolve().parents[3] / "shared" / "openkbp"
CLINICAL = Grid((-120.0, -110.0, -60.0), (0.977, 0.977, 1.0), (121, 226, 246))


def received(folder):
    items = []
    for path in sorted(folder.glob("*.dcm")):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        uids = header.SOPClassUID, header.SOPInstanceUID, header.Modality, header.SeriesInstanceUID
        items.append(Received(*uids, "", "", path, sha256))
    return items


@pytest.fixture(scope="module")
def c_shape(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c-shape") / "study"
    write_study("c-shape", folder, day="reference")
    return assemble(received(folder))


def goals(case):
    return goals_for_case(choose_goal_set(case), case)


def test_a_case_of_another_site_gives_targets_organs_and_the_rest_as_other(c_shape):
    made = network_anatomy(c_shape, goals(c_shape))
    assert [gy for gy, _ in made.anatomy.targets] == [dose for _, dose in goals(c_shape).prescription]
    assert "Core" in made.anatomy.organs and "Core" not in Layout().organs
    told = features(made.anatomy)
    assert told.channel("other").any() and told.channel("target_100").any() and told.unit_gy == 50.0
    # Dose is possible in the whole target and nowhere outside the body.
    body = c_shape.external.voxels.mask(c_shape.image.grid.shape)
    inside = made.to_image(np.ones(made.anatomy.shape, np.float32)) > 0
    assert not (inside & ~body).any()
    target = c_shape.structure("PTV").voxels.mask(c_shape.image.grid.shape)
    assert (inside & target).sum() > 0.97 * target.sum()


def test_the_cases_own_prescription_serves_without_a_goal_set(c_shape):
    case = dataclasses.replace(c_shape, prescription=(PrescribedTarget("PTV", 44.0),))
    assert [gy for gy, _ in network_anatomy(case).anatomy.targets] == [44.0]


@pytest.mark.parametrize("grid", [CLINICAL, Grid((0, 0, 0), (4.0, 4.0, 2.5), (30, 60, 60)),
                                  Grid((0, 0, 0), (1.2, 1.5, 5.0), (30, 140, 170)),
                                  Grid((0, 0, 0), (8.0, 8.0, 8.0), (20, 30, 30))])  # fmt: skip
def test_a_region_keeps_its_place_and_volume_on_the_networks_grid(grid):
    network = NetworkGrid.over(grid)
    dx, dy, dz = network.grid.spacing_mm
    assert 3.5 <= dx <= 5.5 and abs(dx - dy) < 0.1 and 1.45 <= dz <= 3.4
    x, y, z = grid.axes_mm()
    middle = [(axis[0] + axis[-1]) / 2 for axis in (x, y, z)]
    ball = (
        ((x - middle[0]) / 40)[None, None, :] ** 2
        + ((y - middle[1]) / 30)[None, :, None] ** 2
        + ((z - middle[2]) / 25)[:, None, None] ** 2
    ) < 1
    share = network.share(VoxelSet.from_dense(ball.astype(np.float32)))
    assert share.sum() * network.grid.voxel_volume_cc == pytest.approx(ball.sum() * grid.voxel_volume_cc, rel=0.02)
    for axis, name in zip((2, 1, 0), network.grid.axes_mm(), strict=True):
        along = share.sum(axis=tuple(other for other in range(3) if other != axis))
        assert float((along * name).sum() / along.sum()) == pytest.approx(middle[2 - axis], abs=0.5)
    # Back on the image, a dose of 1 where possible is 1 there, also at the border, and 0 elsewhere.
    mask = share >= 0.5
    back = network.to_image(mask.astype(np.float32), (0, 0, 0), mask)
    assert set(np.unique(np.round(back, 5))) == {0.0, 1.0}
    assert (back > 0).sum() * grid.voxel_volume_cc == pytest.approx(ball.sum() * grid.voxel_volume_cc, rel=0.06)


def test_a_finer_image_of_the_same_patient_gives_nearly_the_same_input(c_shape):
    grid = c_shape.image.grid
    fine = Grid(
        tuple(o - s / 4 for o, s in zip(grid.origin_mm, grid.spacing_mm, strict=True)),
        tuple(s / 2 for s in grid.spacing_mm),
        tuple(2 * n for n in grid.shape),
    )
    double = [np.repeat(np.arange(n), 2) for n in grid.shape]

    def grown(voxels):
        return VoxelSet.from_dense(voxels.dense(grid.shape)[np.ix_(*double)])

    structures = tuple(dataclasses.replace(s, voxels=grown(s.voxels)) for s in c_shape.structures)
    image = Image(fine, c_shape.image.hu[np.ix_(*double)])
    coarse = network_anatomy(c_shape, goals(c_shape))
    made = network_anatomy(dataclasses.replace(c_shape, image=image, structures=structures), goals(c_shape))
    assert made.grid.spacing_mm != coarse.grid.spacing_mm
    assert made.notes and "voxels of" in made.notes[0]
    for one in (made, coarse):
        back = one.to_image(one.anatomy.possible.astype(np.float32))
        assert back.shape == one.image_grid.shape
    volumes = [m.anatomy.targets[0][1].sum() * m.grid.voxel_volume_cc for m in (made, coarse)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)


def test_targets_that_cannot_be_used_are_refused_by_name(c_shape):
    def without(**changes):
        structures = tuple(
            dataclasses.replace(s, **changes) if s.kind is StructureKind.TARGET else s for s in c_shape.structures
        )
        return dataclasses.replace(c_shape, structures=structures)

    nothing = VoxelSet(np.zeros(0, np.int32), np.zeros(0, np.float32))
    for case, rule in ((without(voxels=nothing), "target.empty"), (without(tg263="CTV"), "target.none")):
        with pytest.raises(InconsistentCase) as caught:
            network_anatomy(case, goals(c_shape))
        assert caught.value.fields["rule"] == f"prediction.{rule}"
    with pytest.raises(InconsistentCase) as caught:
        network_anatomy(dataclasses.replace(c_shape, prescription=()), None)
    assert caught.value.fields["rule"] == "prediction.target.none"


def packed_anatomy(path):
    """As models/dose/data.py crops it, in LPS."""
    names = (*Layout().organs, "PTV_5600", "PTV_6300", "PTV_7000")
    with np.load(path) as arrays:
        label, ct, (posterior, left, inferior) = arrays["label"], arrays["ct"], arrays["voxel_dimensions"]
    inside = np.argwhere(label & 1)
    box = tuple(slice(low, high + 1) for low, high in zip(inside.min(0), inside.max(0), strict=True))

    def lps(array):
        return np.ascontiguousarray(array[box].transpose(2, 0, 1)[::-1])

    masks = {name: lps(label >> bit & 1) > 0 for bit, name in enumerate(names, start=1)}
    spacing = tuple(float(str(side)) for side in (inferior, posterior, left))
    organs = {name: masks[name] for name in Layout().organs if masks[name].any()}
    targets = [(gy, masks[f"PTV_{gy:.0f}00"]) for gy in (70.0, 63.0, 56.0) if masks[f"PTV_{gy:.0f}00"].any()]
    possible = np.ascontiguousarray((label & 1).transpose(2, 0, 1)[::-1]) > 0
    return Anatomy(lps(label & 1) > 0, organs, targets, lps(ct).astype(np.float32) - 1000, spacing), possible


@pytest.mark.parametrize(("name", "least_dice"), [("train/pt_34", 0.94), ("valid/pt_201", 0.94), ("train/pt_51", 0.8)])
def test_the_way_through_dicom_gives_the_packed_patients_input(name, least_dice, tmp_path):
    path = OPENKBP / f"{name}.npz"
    if not path.is_file():
        pytest.skip("the data folder (../shared/openkbp) is not on this machine")
    import_openkbp(path, tmp_path / "study")
    case = assemble(received(tmp_path / "study"))
    packed, possible = packed_anatomy(path)
    made = network_anatomy(case, goals(case), possible=possible)
    assert made.anatomy.shape == packed.shape and made.notes == ()
    assert np.abs(features(made.anatomy).tensor - features(packed).tensor).max() < 1e-4
    # Derived instead of given, the mask is not the challenge's, but nearly.
    own = network_anatomy(case, goals(case))
    derived = own.to_image(np.ones(own.anatomy.shape, np.float32)) > 0
    assert 2 * (derived & possible).sum() / (derived.sum() + possible.sum()) > least_dice
    # The plans made in it differ: they are made with other points, and pay for tissue that the challenge left out.
    unit = 70.0
    both = derived & possible
    plans = [
        m.to_image(unit * features(m.anatomy).to_image(features(m.anatomy).channel("plan_1"))) for m in (made, own)
    ]
    assert np.abs(plans[0] - plans[1])[both].mean() < 3.0
