"""A network on a grid: seams between tiles, axes, spacings, intensities, mirrors, each against a known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from engines.errors import EngineError
from engines.grid import Grid
from engines.runtime import RuntimeOptions
from engines.segmentation import Intensity, NetworkSpec, open_network, segment
from engines.segmentation.orientation import from_network, to_network
from engines.segmentation.tiling import run_tiled, starts, tiles
from engines.segmentation.whole_image import network_grid

from .networks import convolution, shift_along, thresholds, without_depth

ONE_THREAD = RuntimeOptions(threads=1)
GRID = Grid((-20.0, 10.0, 5.0), (1.0, 2.0, 3.0), (13, 17, 21))
SPEC = NetworkSpec(
    orientation="SPL",
    spacing_mm=(3.0, 2.0, 1.0),
    patch=(8, 8, 8),
    intensity=Intensity("none"),
    kind="softmax",
    values="logits",
    labels=((1, "Bone"), (2, "Metal")),
)


def image(grid: Grid = GRID, seed: int = 1):
    return np.random.default_rng(seed).integers(-1000, 3000, grid.shape).astype(np.int16)


def run(hu, model, spec=SPEC, grid=GRID):
    found = segment(hu, grid, open_network(model, spec, options=ONE_THREAD))
    return {name: voxels.mask(grid.shape) for name, voxels in found.items()}


def test_a_network_that_looks_at_single_voxels_gives_its_threshold_whatever_the_tiles():
    """10 (v - 200) against 20 (v - 1100) against 0: bone above 200, metal where 2 (v - 1100) > v - 200, above 2000."""
    hu = image()
    wanted = {"Bone": (hu > 200) & (hu <= 2000), "Metal": hu > 2000}
    for patch in ((8, 8, 8), (13, 17, 21), (5, 16, 7), (32, 32, 32)):
        for overlap in (0.0, 0.5, 0.7):
            made = run(hu, thresholds(200.0, 1100.0), replace(SPEC, patch=patch, overlap=overlap))
            for name, mask in wanted.items():
                assert np.array_equal(made[name], mask), (patch, overlap, name)


def test_tiles_put_together_equal_the_whole_where_a_network_looks_at_single_voxels():
    values = np.random.default_rng(2).normal(size=(13, 17, 21)).astype(np.float32)
    made = run_tiled(values, (6, 5, 8), lambda patch: np.stack([patch, patch**2]), channels=2, overlap=0.5, sigma=0.125)
    np.testing.assert_allclose(made, np.stack([values, values**2]), rtol=1e-5, atol=1e-6)


def test_tiles_cover_every_voxel_from_end_to_end_and_overlap_as_asked():
    assert starts(10, 10, 0.5) == [0]
    assert starts(20, 10, 0.5) == [0, 5, 10]
    assert starts(21, 10, 0.5) == [0, 4, 7, 11]
    covered = np.zeros((13, 17, 21), int)
    for tile in tiles((13, 17, 21), (8, 8, 8), 0.25):
        covered[tile] += 1
    assert covered.min() >= 1


@pytest.mark.parametrize("orientation", ["SPL", "RAS", "LPS", "IAR", "ASL"])
def test_a_network_sees_the_axes_it_was_trained_on(orientation):
    """One bright voxel. The network marks the next one along its own first axis, so the mark lies one step towards the
    first letter of the orientation: S is z + 1, R x - 1, L x + 1, I z - 1, A y - 1."""
    hu = np.zeros(GRID.shape, np.int16)
    hu[6, 8, 10] = 1
    step = {"S": (1, 0, 0), "I": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "L": (0, 0, 1), "R": (0, 0, -1)}
    spacing = {"S": 3.0, "I": 3.0, "P": 2.0, "A": 2.0, "L": 1.0, "R": 1.0}
    first, second, third = orientation
    spec = replace(
        SPEC,
        orientation=orientation,
        spacing_mm=(spacing[first], spacing[second], spacing[third]),
        labels=((1, "Mark"),),
        patch=(64, 64, 64),
    )
    made = run(hu, shift_along(0), spec)["Mark"]
    assert np.argwhere(made).tolist() == [(np.array([6, 8, 10]) + step[first]).tolist()]


def test_axes_go_there_and_back():
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    for orientation in ("SPL", "RAS", "LIA", "PSR"):
        there = to_network(values, orientation)
        assert np.array_equal(from_network(there, orientation), values)
        assert np.array_equal(from_network(np.stack([there, -there]), orientation), np.stack([values, -values]))


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (4.0, 1.5, 1.1), (3.0, 2.5, 0.9)])
def test_a_box_keeps_its_place_on_another_spacing(spacing):
    """A bright box of 18 x 20 x 12 mm on an anisotropic grid: after the way through the network's grid every border
    lies within half of the larger voxel, and the volume within what those borders allow."""
    hu = np.full(GRID.shape, -1000, np.int16)
    hu[4:10, 3:13, 4:16] = 1000
    spec = replace(SPEC, spacing_mm=spacing, orientation="SPL", labels=((1, "Box"),), patch=(16, 16, 16))
    made = run(hu, thresholds(0.0), spec)["Box"]
    for axis, (step, wanted, low, high) in enumerate(
        zip((3.0, 2.0, 1.0), spacing, (4, 3, 4), (10, 13, 16), strict=True)
    ):
        filled = np.flatnonzero(made.any(axis=tuple(other for other in range(3) if other != axis)))
        allowed = max(step, wanted) / step / 2 + 0.5
        assert abs(filled[0] - low) <= allowed and abs(filled[-1] + 1 - high) <= allowed
    assert made.sum() == pytest.approx(6 * 10 * 12, rel=0.25)


def test_the_networks_grid_covers_the_image_and_has_its_middle():
    inner = network_grid(GRID, replace(SPEC, spacing_mm=(2.0, 1.5, 4.0)))
    assert inner.spacing_mm == (4.0, 1.5, 2.0)
    assert inner.shape == (20, 23, 6)  # 39 mm / 2, 34 mm / 1.5, 21 mm / 4, rounded up
    for axis in range(3):
        ours, theirs = GRID.axes_mm()[axis], inner.axes_mm()[axis]
        assert ours.mean() == pytest.approx(theirs.mean())
        half = (GRID.spacing_mm[axis] / 2, inner.spacing_mm[axis] / 2)
        assert theirs[0] - half[1] <= ours[0] - half[0] + 1e-9 and theirs[-1] + half[1] >= ours[-1] + half[0] - 1e-9
    assert network_grid(GRID, SPEC) is GRID
    assert network_grid(GRID, replace(SPEC, orientation="RAS", spacing_mm=(1.0, 2.0, 3.0))) is GRID


def test_regions_may_overlap_and_hold_what_has_half():
    """Two regions, above 0 and above 500: a voxel of 800 lies in both."""
    weights = np.ones((2, 1, 1, 1, 1), np.float32)
    spec = replace(SPEC, kind="sigmoid", labels=((0, "Low"), (1, "High")))
    hu = image()
    made = run(hu, convolution(weights, [0.0, -500.0]), spec)
    assert np.array_equal(made["Low"], hu >= 0) and np.array_equal(made["High"], hu >= 500)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_only_the_largest_part_of_each_label_stays_where_it_is_asked_for(kind):
    """Bone above 200 and metal above 2000: two blocks of each, the smaller ones touching the larger by an edge only."""
    hu = np.zeros(GRID.shape, np.int16)
    large, small = (slice(1, 5), slice(1, 6), slice(1, 6)), (slice(5, 7), slice(6, 8), slice(1, 6))
    hu[large] = hu[small] = 1000
    hu[8:11, 8:12, 8:12] = hu[8:10, 12:14, 14:16] = 3000
    wanted = {name: np.zeros(GRID.shape, bool) for name in ("Bone", "Metal")}
    wanted["Bone"][large] = wanted["Metal"][8:11, 8:12, 8:12] = True
    if kind == "sigmoid":
        # Each for itself: metal is bone too, and its larger block is smaller than that of bone.
        spec = replace(SPEC, kind=kind, labels=((0, "Bone"), (1, "Metal")))
        weights = np.ones((2, 1, 1, 1, 1), np.float32)
        model = convolution(weights, [-200.0, -2000.0])
    else:
        spec, model = SPEC, thresholds(200.0, 1100.0)
    whole = run(hu, model, spec)
    made = run(hu, model, replace(spec, largest_part=True))
    for name, mask in wanted.items():
        assert np.array_equal(made[name], mask) and whole[name].sum() > mask.sum()


def test_mirrors_are_turned_back_and_averaged():
    """The network marks the voxel after a bright one along W. The mirrored image, turned back, has the mark before it;
    each then has the mean of marked (logit 4 - 0.5) and unmarked (-0.5). Mirrored along H nothing changes."""
    hu = np.zeros(GRID.shape, np.int16)
    hu[6, 8, 10] = 4
    spec = replace(SPEC, labels=((1, "Mark"),), patch=(64, 64, 64))
    assert np.argwhere(run(hu, shift_along(2), spec)["Mark"]).tolist() == [[6, 8, 11]]
    assert np.argwhere(run(hu, shift_along(2), replace(spec, mirror_axes=(1,)))["Mark"]).tolist() == [[6, 8, 11]]
    both = open_network(shift_along(2), replace(spec, mirror_axes=(2,)), options=ONE_THREAD)
    patch = np.zeros((3, 3, 7), np.float32)
    patch[1, 1, 3] = 4
    marked = both.probabilities(patch)[1, 1, 1]
    rest, hit = 1 / (1 + np.exp(0.5)), 1 / (1 + np.exp(-3.5))
    assert marked == pytest.approx([rest, rest, (hit + rest) / 2, rest, (hit + rest) / 2, rest, rest], abs=1e-6)


def test_intensities_are_what_the_network_was_trained_on():
    """ct: clipped to -100..300, less 100, over 50. range: -200..200 to 0..1. zscore: of 0 and 10: -1 and 1."""
    values = np.array([-1000, 0, 100, 900])
    assert Intensity("ct", -100, 300, 100, 50).apply(values) == pytest.approx([-4, -2, 0, 4])
    assert Intensity("range", -200, 200).apply(values) == pytest.approx([0, 0.5, 0.75, 1])
    assert Intensity("zscore").apply(np.array([0, 10])) == pytest.approx([-1, 1])
    assert Intensity("zscore").apply(np.full(3, 7)) == pytest.approx([0, 0, 0])
    assert Intensity("none").apply(values).dtype == np.float32
    spec = replace(SPEC, intensity=Intensity("ct", -1000, 1000, 0, 1000), labels=((1, "Bone"),))
    hu = image()
    assert np.array_equal(run(hu, thresholds(0.5), spec)["Bone"], hu > 500)


def test_one_of_several_outputs_is_named():
    weights = np.ones((1, 1, 1, 1, 1), np.float32)
    spec = replace(SPEC, kind="sigmoid", labels=((0, "Low"),))
    model = convolution(weights, [0.0], spare_output=True)
    with pytest.raises(EngineError, match="no output '' "):
        open_network(model, spec)
    assert open_network(model, replace(spec, output_name="spare")).output_name == "spare"


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (without_depth(), {}, "rank 4"),
        (thresholds(0.0, 1.0, shape=["n", 1, 16, 16, 16]), {}, r"the patch asks for \[1, 1, 8, 8, 8\]"),
        (thresholds(0.0, 1.0, shape=["n", 1, "d", "h", "w"]), {"labels": ((3, "Far"),)}, "has 3 channels"),
        (thresholds(0.0, 1.0), {"input_name": "picture"}, "no input 'picture'.*image"),
        (b"no network", {}, "cannot be run here"),
    ],
)
def test_a_network_that_breaks_its_contract_is_refused(model, changes, words):
    with pytest.raises(EngineError, match=words):
        open_network(model, replace(SPEC, **changes))


def test_weights_in_another_file_are_refused(tmp_path):
    """What a SHA-256 of the network does not cover."""
    model = onnx.load_from_string(thresholds(0.0, 1.0))
    path = tmp_path / "net.onnx"
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(EngineError, match="another file"):
        open_network(path.read_bytes(), SPEC)


@pytest.mark.parametrize(
    "changes",
    [
        {"orientation": "SPP"},
        {"orientation": "XYZ"},
        {"spacing_mm": (0.0, 1.0, 1.0)},
        {"patch": (0, 8, 8)},
        {"overlap": 1.0},
        {"sigma": 0.0},
        {"mirror_axes": (3,)},
        {"labels": ()},
        {"labels": ((0, "Background"),)},
        {"labels": ((1, "A"), (1, "B"))},
    ],
)
def test_a_contract_that_cannot_be_is_refused(changes):
    with pytest.raises(EngineError):
        replace(SPEC, **changes)


def test_what_does_not_fit_or_is_too_large_is_refused():
    network = open_network(thresholds(0.0, 1.0), SPEC, options=ONE_THREAD)
    with pytest.raises(EngineError, match="not on a grid"):
        segment(np.zeros((2, 2, 2), np.int16), GRID, network)
    fine = open_network(thresholds(0.0, 1.0), replace(SPEC, spacing_mm=(0.05, 0.05, 0.05)), options=ONE_THREAD)
    with pytest.raises(EngineError, match="GB"):
        segment(image(), GRID, fine)
    with pytest.raises(EngineError):
        Intensity("ct", 100, -100)
    with pytest.raises(EngineError):
        Intensity("ct", -100, 100, 0, 0)
