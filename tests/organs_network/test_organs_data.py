"""Volumes that the network of organs is trained on, and how it is scored: no PyTorch is needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from appliance.builtin.packed import read_packed
from appliance.errors import ConfigError
from appliance.evaluation.image_context import load_network
from engines.segmentation import Intensity
from models.organs import data, score
from models.organs.config import RunConfig

from ..engines.segmentation.networks import convolution
from .made_up import HU, write_packed

CORD, MANDIBLE, LARYNX = (data.ORGANS.index(name) for name in ("SpinalCord", "Bone_Mandible", "Larynx"))
CONFIG = Path(data.__file__).with_name("train.toml")


@pytest.fixture(scope="module")
def openkbp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("openkbp")
    write_packed(folder / "train" / "pt_1.npz", seed=1)
    write_packed(folder / "train" / "pt_2.npz", seed=2, without=("Bone_Mandible",))
    write_packed(folder / "train" / "pt_3.npz", with_ct=False)
    write_packed(folder / "valid" / "pt_201.npz", seed=3)
    return folder


def test_an_organ_counts_everywhere_if_it_is_whole_and_nowhere_if_nobody_drew_it():
    drawn = np.array([False, True, True, False])
    assert data.counted(drawn, 3.0, False).all()
    assert not data.counted(np.zeros(4, bool), 3.0, False).any()
    assert not data.counted(np.zeros(4, bool), 3.0, True).any()


def test_a_cord_counts_where_it_is_drawn_and_well_above():
    """Slices of 4 mm: 12 mm over the highest drawn one is the first beyond 10 mm; a gap says nothing, nor what is
    below."""
    drawn = np.array([0, 0, 1, 0, 1, 0, 0, 0, 0], bool)
    assert data.counted(drawn, 4.0, True).astype(int).tolist() == [0, 0, 1, 0, 1, 0, 0, 1, 1]


def test_a_volume_is_the_patient_with_air_around_and_keeps_what_needs_no_resampling(openkbp):
    patient = read_packed(openkbp / "train" / "pt_2.npz")
    hu, bits = data.volume_of(patient)
    # 20 mm are six voxels of air beside the patient, less where the image ends, and none above and below.
    assert hu.shape == (30, 40, 44)
    assert np.array_equal(hu, patient.hu)
    assert np.array_equal(bits >> data.BODY & 1, patient.masks["External"])
    for channel, name in enumerate(data.ORGANS):
        drawn = patient.masks.get(name, np.zeros(hu.shape, bool))
        assert np.array_equal(bits >> channel & 1, drawn)
    counts = [bits >> data.COUNTS + channel & 1 for channel in range(len(data.ORGANS))]
    assert not counts[MANDIBLE].any() and not counts[LARYNX].any()
    assert counts[CORD].any(axis=(1, 2)).tolist() == [False] * 5 + [True] * 25


def test_the_cache_holds_every_patient_with_a_ct_and_the_intensities_of_training_patients(openkbp, tmp_path, capsys):
    assert data.write_cache(openkbp, tmp_path) == 3
    assert "pt_3" in capsys.readouterr().out
    volumes = data.load_cache(tmp_path)
    assert [volume.number for volume in volumes] == [1, 2, 201]
    assert MANDIBLE in volumes[0].places and MANDIBLE not in volumes[1].places
    told = json.loads((tmp_path / "fingerprint.json").read_text("utf-8"))
    assert told == data.fingerprint(volumes[:2]) != data.fingerprint(volumes[:1])
    assert min(HU.values()) <= told["mean"] <= max(HU.values())
    assert data.intensity_of(tmp_path) == Intensity("ct", *told.values())
    with pytest.raises(FileNotFoundError, match=r"no pt_\*\.npy"):
        data.load_cache(tmp_path / "elsewhere")


def test_a_network_that_is_right_scores_one_and_one_that_is_off_less(openkbp, tmp_path):
    """Voxel by voxel: Parotid_L is what is above 300 HU, and the network takes bone and cord for it too."""
    found = {}
    for at in (300.0, 100.0):
        weights = np.full((1, 1, 1, 1, 1), 0.1, np.float32)
        model = convolution(weights, [-0.1 * at])
        (tmp_path / "one.onnx").write_bytes(model)
        (tmp_path / "one.toml").write_text(_one_label(hashlib.sha256(model).hexdigest()), "utf-8")
        network = load_network(tmp_path / "one.toml", data.ORGANS)
        patients = [score.scored(openkbp / "valid" / "pt_201.npz", network, 1)]
        found[at] = score.report(network, patients)
    parotid = read_packed(openkbp / "valid" / "pt_201.npz").masks
    all_organs = {at: sum(int(parotid[n].sum()) for n, hu in HU.items() if hu > at) for at in found}
    cord_undrawn = 5 * int(parotid["SpinalCord"][-1].sum())
    own = int(parotid["Parotid_L"].sum())
    for at, told in found.items():
        dice = told["organs"]["Parotid_L"]["dice"][0]
        assert dice == pytest.approx(2 * own / (own + all_organs[at] + cord_undrawn), abs=1e-3)
        assert told["organs"]["Parotid_L"]["patients"] == 1 and told["organs"]["Brainstem"]["patients"] == 0
    assert len(score.lines(found[300.0])) == 2 + len(data.ORGANS) + 1


def test_an_organ_that_is_not_seen_counts_as_nothing_found():
    patients = [
        score.Scored(201, {"Larynx": (0.8, 4.0)}, 1.0, 1.0),
        score.Scored(202, {"Larynx": (0.0, None)}, 1.0, 1.0),
        score.Scored(203, {"Larynx": (0.7, 6.0)}, 1.0, 1.0),
    ]
    told = score.row("Larynx", patients)
    assert told["patients"] == 3 and told["unseen"] == 1 and told["dice_least"] == 0.0
    assert told["dice"] == [0.5, 0.0, 0.8]
    assert told["distance_95_mm"] == [5.0, 4.0, 6.0]
    assert score.row("Brainstem", patients)["dice"] is None


def test_the_shipped_run_is_read_and_a_wrong_one_refused(tmp_path):
    assert RunConfig.load(CONFIG).minutes > 60
    text = CONFIG.read_text("utf-8")
    for wrong, said in (
        (text + "\nextra = 1\n", "key 'extra'"),
        (text.replace("[196, 197", "[201, 197"), "patient 201 is of the validation set"),
        (text.replace("batch = 2", "batch = 0"), "key 'batch'"),
        ("cache = ", "is not valid TOML"),
    ):
        (tmp_path / "run.toml").write_text(wrong, "utf-8")
        with pytest.raises(ConfigError, match=said):
            RunConfig.load(tmp_path / "run.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        RunConfig.load(tmp_path / "absent.toml")


def _one_label(sha256: str) -> str:
    return f"""
format = "couchside-segmentation-1"
name = "one"
title = "one organ by its intensity"
model = "one.onnx"
sha256 = "{sha256}"
source = "a test"
licence = "none"
trained_on = "nothing"
[input]
layout = "NCDHW"
orientation = "SPL"
modality = "CT"
spacing_mm = [3.0, 3.906, 3.906]
patch = [16, 16, 16]
image_spacing_mm = [0.5, 5.0]
[intensity]
scheme = "none"
[output]
kind = "sigmoid"
values = "logits"
[[label]]
channel = 0
name = "Parotid_L"
"""
