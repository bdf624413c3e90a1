"""Training the network of organs on made-up patients: patches, loss, steps, and the files a run leaves."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from engines.runtime import Backend, RuntimeOptions  # noqa: E402
from engines.segmentation import Intensity, open_network  # noqa: E402
from models.organs import augment, data, export, train  # noqa: E402
from models.organs.config import RunConfig  # noqa: E402
from models.organs.losses import organ_loss  # noqa: E402
from models.organs.network import OrganNetwork, Shape  # noqa: E402
from models.organs.training import Training  # noqa: E402

from .made_up import write_packed  # noqa: E402

PATCH = (16, 24, 32)
RIGHT, LEFT, CORD, LARYNX = (data.ORGANS.index(n) for n in ("Parotid_R", "Parotid_L", "SpinalCord", "Larynx"))
SMALL = {"channels": (8, 8), "head": 8, "batch": 2}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organs")
    for number in (1, 2, 3):
        write_packed(folder / "openkbp" / "train" / f"pt_{number}.npz", seed=number)
    write_packed(folder / "openkbp" / "valid" / "pt_201.npz", seed=4)
    data.write_cache(folder / "openkbp", folder / "cache")
    return folder / "cache"


@pytest.fixture(scope="module")
def volumes(cache: Path) -> list[data.Volume]:
    return data.load_cache(cache)[:3]


def training(cache: Path, volumes: list[data.Volume], **changed: object) -> Training:
    config = RunConfig.model_validate({"cache": cache, "out": cache, "steps": 6, **SMALL, **changed})
    return Training(config, volumes, data.intensity_of(cache), PATCH)


def test_an_unturned_patch_is_a_piece_of_the_patient(volumes):
    whole = torch.from_numpy(volumes[0].hu.astype(np.float32))[None, None]
    grid = augment.places(volumes[0].hu.shape, (4, 6, 8), [11.5, 20.5, 17.5], np.eye(3))
    taken = torch.nn.functional.grid_sample(whole, grid, padding_mode="zeros", align_corners=True)[0, 0]
    assert torch.allclose(taken, whole[0, 0, 10:14, 18:24, 14:22], atol=0.05)


def test_a_turn_keeps_millimetres_on_voxels_that_are_no_cubes():
    """A quarter turn about x: 5 slices of 3 mm above the middle lie 15 mm along y, 3.84 voxels of 3.906 mm."""
    quarter = augment.rotation(np.pi / 2, 0, 1)
    grid = augment.places((41, 41, 41), (11, 11, 11), [20.0, 20.0, 20.0], quarter)
    x, y, z = ((grid[0, 10, 5, 5] + 1) * 20).tolist()
    assert (x, z) == (pytest.approx(20, abs=1e-3), pytest.approx(20, abs=1e-3))
    assert abs(y - 20) == pytest.approx(15 / 3.906, abs=1e-3)


def test_a_patient_in_a_mirror_has_its_organs_on_their_own_side(volumes):
    """Half of the patches are mirrored; the left parotid always lies to the left, which is up along x."""
    intensity, ways = Intensity("none"), set()
    across = torch.arange(PATCH[2], dtype=torch.float32)
    for seed in range(60):
        one = augment.sample(volumes[seed % 3], intensity, PATCH, np.random.default_rng(seed))
        sides = one.inside[[RIGHT, LEFT]]
        if (sides.sum((1, 2, 3)) > 60).all():
            right, left = ((side.sum((0, 1)) * across).sum() / side.sum() for side in sides)
            assert left > right
            # What became the left parotid was the right one, whose 200 HU are half of the left one's.
            ways.add(bool(one.image[0][one.inside[LEFT] > 0].mean() < 300))
    assert ways == {True, False}


def test_beyond_the_image_is_nothing_that_counts(volumes):
    """A patch larger than the image: its corner is padding, as the engine pads what is normalised."""
    for seed in range(6):
        one = augment.sample(volumes[0], Intensity("none"), (64, 64, 64), np.random.default_rng(seed))
        assert not one.counts[:, 0, 0, 0].any() and not one.inside[one.counts == 0].any()
        assert one.counts[RIGHT].any() and not one.counts[LARYNX].any()


def test_something_is_put_around_some_patients_and_nothing_into_them(volumes):
    body = torch.zeros(8, 10, 12, dtype=torch.int32)
    body[:, 2:6, 3:9] = 1
    image = torch.where(body > 0, 40.0, -1000.0)
    known = image.clone()
    augment.furnish(image, body, Intensity("none"), np.random.default_rng(2))
    assert torch.equal(image[body > 0], known[body > 0]) and torch.equal(image[:, :6], known[:, :6])
    assert (image[:, 6:] > -1000).any()


def test_the_loss_is_the_formula_on_what_counts_and_blind_to_the_rest():
    logits = torch.tensor([2.0, -1.0, 3.0, 0.5]).reshape(1, 1, 1, 1, 4).repeat(1, 2, 1, 1, 1).requires_grad_()
    inside = torch.zeros(1, 2, 1, 1, 4)
    inside[0, 0, 0, 0] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    counts = torch.zeros_like(inside)
    counts[0, 0, 0, 0] = torch.tensor([1.0, 1.0, 0.0, 1.0])
    loss = organ_loss(logits, inside, counts)
    p = torch.sigmoid(torch.tensor([2.0, -1.0, 0.5]))
    entropy = -(p[0].log() + (1 - p[1]).log() + (1 - p[2]).log()) / 3
    assert float(loss.detach()) == pytest.approx(float(entropy + 1 - (2 * p[0] + 1) / (p.sum() + 1 + 1)), abs=1e-5)
    loss.backward()
    assert logits.grad is not None
    # The third voxel does not count, and nobody drew the second organ.
    assert not logits.grad[0, 1].any() and float(logits.grad[0, 0, 0, 0, 2]) == 0.0
    assert (logits.grad[0, 0, 0, 0, [0, 1, 3]] != 0).all()


def test_a_run_that_was_interrupted_ends_with_the_same_bits(cache, volumes, tmp_path):
    whole = training(cache, volumes)
    whole.run(lambda _: None)
    first = training(cache, volumes)
    for _ in range(3):
        first.one_step()
    first.save(tmp_path / "state.pt")
    second = training(cache, volumes)
    second.load(tmp_path / "state.pt")
    second.run(lambda _: None)
    assert second.step == whole.step == 6
    for mine, known in zip(second.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(mine, known)
    assert all(torch.equal(a, b) for a, b in zip(second.mean.weights, whole.mean.weights, strict=True))
    with pytest.raises(ValueError, match="is of a run with"):
        training(cache, volumes, head=4).load(tmp_path / "state.pt")


def test_training_finds_the_organs_of_made_up_patients(cache, volumes):
    run = training(cache, volumes, steps=60, rate=1e-2, mean_decay=0.5)
    before = train.watched_dice(run.network, volumes[:1], run.intensity)
    run.run(lambda _: None)
    run.mean.swap(run.network)
    after = train.watched_dice(run.network, volumes[:1], run.intensity)
    assert set(after) == {"SpinalCord", "Parotid_R", "Parotid_L", "Bone_Mandible"}
    assert np.mean(list(after.values())) > np.mean(list(before.values())) + 0.3


def test_the_program_leaves_a_curve_and_weights_and_goes_on(cache, tmp_path, monkeypatch):
    text = "\n".join(
        f"{key} = {json.dumps(value)}"
        for key, value in {
            "cache": str(cache), "out": str(tmp_path / "out"), "steps": 2, "watched": [3], **SMALL,
        }.items()
    )  # fmt: skip
    (tmp_path / "run.toml").write_text(text, "utf-8")
    monkeypatch.setattr("sys.argv", ["train", str(tmp_path / "run.toml")])
    train.main()
    (tmp_path / "run.toml").write_text(text.replace("steps = 2", "steps = 3"), "utf-8")
    train.main()
    told = json.loads((tmp_path / "out" / "curve.json").read_text("utf-8"))
    # Neither the watched patient nor that of the validation set is trained on.
    assert told["patients"] == 2 and told["drawn"]["Larynx"] == 0
    assert [entry["step"] for entry in told["curve"]] == [2, 3]
    assert set(told["curve"][0]["dice"]) == {"SpinalCord", "Parotid_R", "Parotid_L", "Bone_Mandible"}
    toml = Path(data.__file__).with_name("organs.toml").read_text("utf-8")
    (tmp_path / "organs.toml").write_text(toml, "utf-8")
    monkeypatch.setattr("sys.argv", ["export", str(tmp_path / "out" / "weights.pt"), str(tmp_path / "organs.toml")])
    export.main()
    stated = tomllib.loads((tmp_path / "organs.toml").read_text("utf-8"))["sha256"]
    assert stated == hashlib.sha256((tmp_path / "organs.onnx").read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="no line sha256"):
        export.with_digest("name = 1\n", stated)


def test_the_onnx_file_says_what_the_network_says(tmp_path):
    torch.manual_seed(5)
    network = OrganNetwork(Shape((8, 16), 8))
    export.write_onnx(network, tmp_path / "organs.onnx")
    spec = data.spec_of(Intensity("none"))
    runner = open_network(
        (tmp_path / "organs.onnx").read_bytes(), spec, options=RuntimeOptions(backends=(Backend.ONNX_CPU,))
    )
    patch = torch.randn(data.PATCH)
    with torch.no_grad():
        known = network.eval()(patch[None, None]).sigmoid()[0].numpy()
    assert np.abs(runner.probabilities(patch.numpy()) - known).max() < 1e-4
