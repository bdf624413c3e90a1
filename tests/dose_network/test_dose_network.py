"""Training of the dose network on made-up patients: what must hold before a second of a GPU is spent."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from models.dose import train  # noqa: E402
from models.dose.augment import Case, View, mirrored, shown  # noqa: E402
from models.dose.data import load_patient, packed, read_archive, unpacked, write_archive  # noqa: E402
from models.dose.distance import distance_mm  # noqa: E402
from models.dose.export import half_rounded, onnx_predictor, write_onnx  # noqa: E402
from models.dose.features import CHANNELS, DOSE_UNIT_GY, POSSIBLE, features  # noqa: E402
from models.dose.network import DoseNetwork, Shape  # noqa: E402
from models.dose.pack import fluence_bytes, fluence_of  # noqa: E402
from models.dose.predict import Judged, judge, predicted, summary  # noqa: E402
from models.dose.score import challenge_scores, score_patient  # noqa: E402
from models.dose.training import Plan, Training  # noqa: E402

from .phantom import patient  # noqa: E402

CPU = torch.device("cpu")
SMALL = Shape((8, 8, 8, 8), (1, 1, 1, 1), (1, 1, 1), 8)
PLAN = Plan(batch=2, shape=SMALL, canvas=(32, 32, 32), turned_canvas=(32, 32, 32), dvh_from=0.0)
OPENKBP = Path(__file__).resolve().parents[3] / "shared" / "openkbp"


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return [Judged.of(patient(f"pt_{n}", seed=n, with_ct=n != 2, shift=n), CPU) for n in (1, 2, 3)]


def training(judged: list[Judged], plan: Plan) -> Training:
    cases = [Case(one.features.half(), one.dose[None].half()) for one in judged]
    return Training(plan, cases, [100.0] * len(cases), CPU)


def test_an_archive_gives_back_what_training_needs(tmp_path):
    one = patient(with_ct=True)
    extra = fluence_bytes(one)
    write_archive(tmp_path / "a", [packed(one, extra), packed(patient("pt_2", with_ct=False))])
    (back, more), (other, nothing) = (unpacked(record) for record in read_archive(tmp_path / "a"))
    assert (back.name, back.spacing_mm, back.corner) == (one.name, one.spacing_mm, one.corner)
    assert np.array_equal(back.label, one.label)
    assert np.abs(back.dose_gy - one.dose_gy).max() < 0.026
    inside = one.roi("possible_dose_mask")
    assert np.abs(back.ct_hu - one.ct_hu)[inside].max() <= 16
    assert other.ct_hu is None and not nothing
    assert torch.equal(fluence_of(more), fluence_of(extra))


def test_a_damaged_archive_is_refused(tmp_path):
    write_archive(tmp_path / "a", [packed(patient())])
    raw = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(raw[:-10])
    with pytest.raises(ValueError, match="ends in the middle of a patient"):
        list(read_archive(tmp_path / "a"))
    (tmp_path / "a").write_bytes(b"no" + raw)
    with pytest.raises(ValueError, match="is not an archive"):
        list(read_archive(tmp_path / "a"))


def test_distances_are_exact_up_to_their_limit():
    from scipy.ndimage import distance_transform_edt

    inside = np.zeros((14, 11, 17), bool)
    inside[4:6, 3:8, 9:12] = inside[12, 1, 1] = True
    known = np.minimum(distance_transform_edt(~inside, (2.0, 3.0, 2.5)), 12.0)
    assert np.allclose(distance_mm(torch.from_numpy(inside), (2.0, 3.0, 2.5), 12.0).numpy(), known, atol=1e-4)
    assert torch.all(distance_mm(torch.zeros(3, 4, 5), (1, 1, 1), 9.0) == 9.0)


def test_a_mirrored_patient_has_mirrored_features():
    one = patient(shift=1)
    flipped = one.label[:, ::-1].copy()
    right, left = flipped >> 3 & 1, flipped >> 4 & 1
    flipped = (flipped & ~np.uint16(0b11000)) | (left << 3) | (right << 4)
    other = dataclasses.replace(one, label=flipped.astype(np.uint16), ct_hu=one.ct_hu[:, ::-1].copy())
    got, known = features(other, CPU), mirrored(features(one, CPU))
    assert float((got - known).abs().max()) < 5e-3


def test_quick_plans_cover_targets_and_spare_the_rest(judged):
    facts = judged[0].features
    target, body = facts[CHANNELS.index("PTV70")] > 0, facts[POSSIBLE] > 0
    for n in range(3):
        dose = facts[CHANNELS.index(f"plan_{n}")] * DOSE_UNIT_GY
        assert 62 < float(dose[target].mean()) < 75
        assert float(dose[body].mean()) < 0.6 * float(dose[target].mean())


def test_a_view_moves_mirrors_and_turns_features_and_dose_together(judged):
    case = Case(judged[0].features.half(), judged[0].dose[None].half())
    still = View(False, 0, (0.0, 0.0, 0.0), True)
    facts, dose, weight = shown(case, still, (32, 32, 48))
    a, b, c = case.dose.shape[1:]
    assert torch.equal(dose[:, :a, :b, :c], case.dose[:, :32, :32, :48])
    assert torch.equal(weight, facts[POSSIBLE][None])
    first = CHANNELS.index("plan_0")
    for view in (View(True, 0, (0.3, 0.9, 0.5), True), View(True, 4, (0.5, 0.5, 0.5), True)):
        facts, dose, weight = (part.float() for part in shown(case, view, (32, 48, 48)))
        # On half of the points the phantom's dose is its plan's; mirrored or turned, the two stay together.
        left = (dose - facts[first]).abs()[weight > 0]
        assert float(left.quantile(0.4)) < 1e-3
        assert float(weight.sum()) > 0.6 * float(case.features[POSSIBLE].float().sum())
    assert not shown(case, View(False, 0, (0, 0, 0), False), (32, 32, 48))[0][CHANNELS.index("has_ct")].any()


def test_a_whole_circle_of_turns_is_no_turn(judged):
    case = Case(judged[1].features.half(), judged[1].dose[None].half())
    whole, one = (shown(case, View(False, n, (0.5, 0.5, 0.5), True), (32, 40, 40))[1].float() for n in (9, 1))
    rows, columns = (40 - case.dose.shape[2]) // 2, (40 - case.dose.shape[3]) // 2
    inner = whole[:, :26, rows : rows + case.dose.shape[2], columns : columns + case.dose.shape[3]]
    placed = whole.new_zeros(inner.shape)
    placed[:] = case.dose.float()[:, :26]
    assert float((whole.sum() - one.sum()).abs()) < 0.02 * float(whole.sum())
    assert float((inner.sum() - placed.sum()).abs()) < 0.02 * float(placed.sum())


def test_a_network_starts_as_its_quick_plans_and_is_zero_where_dose_is_impossible(judged):
    network = DoseNetwork(SMALL)
    facts = judged[0].features
    dose = predicted(network, facts)
    mean = facts[CHANNELS.index("plan_0") : CHANNELS.index("plan_0") + 3].mean(0) * DOSE_UNIT_GY
    assert float((dose - mean).abs().max()) < 1e-3
    assert not dose[facts[POSSIBLE] == 0].any()


def test_a_mirrored_patient_is_given_the_mirrored_dose(judged):
    network = DoseNetwork(SMALL)
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    # A width that needs no padding: zeros behind a patient are not mirrored.
    facts = torch.nn.functional.pad(judged[0].features, (0, 32 - judged[0].features.shape[-1]))
    a, b = predicted(network, facts), predicted(network, mirrored(facts)).flip(-1)
    assert float((a - b).abs().max()) < 1e-3


def test_a_run_that_was_interrupted_ends_with_the_same_bits(judged, tmp_path):
    plan = dataclasses.replace(PLAN, steps=6)
    whole = training(judged, plan)
    whole.run(1e9, lambda _: None)
    first = training(judged, plan)
    for _ in range(3):
        first.one_step()
    first.save(tmp_path / "state.pt")
    second = training(judged, plan)
    second.load(tmp_path / "state.pt")
    second.run(1e9, lambda _: None)
    assert second.step == whole.step == 6
    for mine, known in zip(second.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(mine, known)
    assert all(torch.equal(a, b) for a, b in zip(second.mean.weights, whole.mean.weights, strict=True))
    with pytest.raises(ValueError, match="is of a network of shape"):
        training(judged, dataclasses.replace(plan, shape=Shape((8, 8, 8, 8), (1, 1, 1, 1), (2, 1, 1), 8))).load(
            tmp_path / "state.pt"
        )


def test_a_run_ends_with_its_seconds_and_its_rate_at_zero(judged):
    run = training(judged, dataclasses.replace(PLAN, seconds=3.0))
    told = []
    run.run(1.0, lambda now: told.append(now.spent))
    assert told[-1] == 1.0 and told == sorted(told)
    assert 3.0 <= run.elapsed < 12.0
    assert run.optimisers[0].param_groups[0]["lr"] < 0.6 * run.plan.rate


@pytest.mark.parametrize("muon", [True, False])
def test_training_brings_the_dose_nearer(judged, muon):
    run = training(judged, dataclasses.replace(PLAN, steps=40, muon=muon, rate=3e-3, mean_decay=0.5))
    before = summary(judge(run.network, judged), judged)
    run.run(1e9, lambda _: None)
    run.mean.swap(run.network)
    after = summary(judge(run.network, judged), judged)
    assert after["dose_score"] < 0.9 * before["dose_score"]
    assert set(after) == {"dose_score", "dvh_score", "dose_score_with_ct", "dvh_score_with_ct"}


def test_the_onnx_file_gives_the_networks_dose(judged, tmp_path):
    pytest.importorskip("onnxruntime")
    network = DoseNetwork(Shape((16, 16, 16, 16), (1, 1, 1, 1), (1, 1, 1), 8))
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    write_onnx(network, tmp_path / "dose.onnx")
    runner = onnx_predictor(tmp_path / "dose.onnx")
    half = half_rounded(network)
    for one in judged[:2]:
        with torch.no_grad():
            off = predicted(runner, one.features) - predicted(half, one.features)
        assert float(off.abs().max()) < 1e-3
    assert (tmp_path / "dose.onnx").stat().st_size < 2.6 * sum(w.numel() for w in network.parameters()) + 60_000


def test_the_program_writes_its_curve_weights_and_network(tmp_path, monkeypatch):
    records = []
    for n in (1, 2, 201):
        one = patient(f"pt_{n}", seed=n)
        records.append(packed(one, fluence_bytes(one)))
    write_archive(tmp_path / "archive", records)
    out, sides = tmp_path / "out", "32,32,32"
    arguments = [
        str(tmp_path / "archive"),
        str(out),
        "--steps",
        "3",
        "--batch",
        "1",
        "--workers",
        "1",
        "--canvas",
        sides,
    ]
    arguments += ["--turned-canvas", sides, "--shape", "8,8,8,8/1,1,1,1/1,1,1/8", "--device", "cpu"]
    arguments += ["--state", str(tmp_path / "state.pt"), "--onnx"]
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    train.main()
    monkeypatch.setattr("sys.argv", ["train", *arguments, "--steps", "5", "--resume", str(tmp_path / "state.pt")])
    train.main()
    told = json.loads((out / "metrics.json").read_text("utf-8"))
    assert told["training_patients"] == 2 and told["validation_patients"] == 1
    assert [entry["step"] for entry in told["curve"]] == [3, 5] and told["curve"][-1]["dose_score"] > 0
    assert (out / "dose.onnx").is_file() and (out / "weights.pt").is_file() and (tmp_path / "state.pt").is_file()


@pytest.mark.skipif(not OPENKBP.is_dir(), reason="the data folder (../shared/openkbp) is not on this machine")
def test_scores_are_those_of_the_data_folders_own_program(tmp_path):
    spec = importlib.util.spec_from_file_location("score", OPENKBP / "score.py")
    assert spec is not None and spec.loader is not None
    official = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(official)
    rng, mine = np.random.default_rng(4), []
    (tmp_path / "true").mkdir()
    (tmp_path / "mine").mkdir()
    for path in (OPENKBP / "valid" / "pt_201.npz", OPENKBP / "train" / "pt_1.npz"):
        one = load_patient(path)
        assert one is not None and one.dose_gy is not None
        off = rng.normal(0, 3, one.dose_gy.shape).astype(np.float32)
        guess = np.where(one.roi("possible_dose_mask"), np.maximum(one.dose_gy * 0.98 + off, 0), 0)
        (tmp_path / "true" / path.name).symlink_to(path)
        np.savez(tmp_path / "mine" / path.name, dose=guess.astype(np.float32), offset=_stored_corner(path, one.corner))
        tensors = (torch.from_numpy(array) for array in (guess, one.dose_gy, one.label.astype(np.int32)))
        mine.append(score_patient(*tensors, one.spacing_mm, one.beyond))
    rows = official.score_dirs(str(tmp_path / "mine"), str(tmp_path / "true"))
    known = [np.mean([row[0] for row in rows.values()]), np.mean([e for row in rows.values() for e in row[1].values()])]
    assert np.allclose(challenge_scores(mine), known, atol=1e-4)


def _stored_corner(path: Path, corner: tuple[int, int, int]) -> np.ndarray:
    with np.load(path) as file:
        return file["offset"] + np.array(corner, np.int16)
