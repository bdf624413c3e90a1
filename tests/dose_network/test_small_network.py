"""The network made small, its spread, organs without a name, and what reports say: on made-up patients."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from models.dose import cache, compress, curve, evaluate, train  # noqa: E402
from models.dose.augment import OTHER, Case, View, disguised, drawn, mirrored, shown  # noqa: E402
from models.dose.data import ORGANS, packed, write_archive  # noqa: E402
from models.dose.export import half_rounded, network_of, onnx_predictor, without_padding, write_onnx  # noqa: E402
from models.dose.features import CHANNELS, POSSIBLE  # noqa: E402
from models.dose.losses import dose_loss, spread_loss  # noqa: E402
from models.dose.network import INPUTS, SMALLEST_SPREAD, DoseNetwork, Factored, Shape, padded  # noqa: E402
from models.dose.pack import fluence_bytes  # noqa: E402
from models.dose.predict import Judged, predicted  # noqa: E402
from models.dose.report import difference, document, scores_of, told  # noqa: E402
from models.dose.score import PatientScore, challenge_scores  # noqa: E402
from models.dose.training import Plan, Training  # noqa: E402

from .phantom import patient  # noqa: E402

CPU = torch.device("cpu")
SHIPPED = Path(train.__file__).with_name("dose.onnx")
WIDE = Shape((8, 8, 8, 8), (1, 1, 1, 1), (1, 1, 1), 8)
SMALL = dataclasses.replace(WIDE, ranks=(4, 4, 4, 4), head_rank=4, spread=True)
PLAN = Plan(batch=1, shape=SMALL, canvas=(32, 32, 32), turned_canvas=(32, 32, 32), dvh_from=0.0, dropout=0.1,
            organs_kept=0.5)  # fmt: skip


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return [Judged.of(patient(f"pt_{n}", seed=n, shift=n), CPU) for n in (1, 2)]


@pytest.fixture(scope="module")
def samples(judged: list[Judged]) -> list:
    still = View(False, 0, (0.5, 0.5, 0.5), True)
    return [shown(Case(one.features, one.dose[None]), still, (32, 32, 32))[0][None] for one in judged]


def rough(network: DoseNetwork, seed: int, size: float = 0.1) -> DoseNetwork:
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(size * torch.randn(weight.shape))
    return network.eval()


def training(judged: list[Judged], plan: Plan) -> Training:
    return Training(plan, [Case(o.features.half(), o.dose[None].half()) for o in judged], [100.0, 100.0], CPU)


@torch.no_grad()
def test_a_network_through_all_channels_says_the_same(samples):
    network = rough(DoseNetwork(WIDE), 1)
    small = compress.compressed(network, samples, dataclasses.replace(WIDE, ranks=(8, 8, 8, 8)))
    for sample in samples:
        assert float((small(sample) - network(sample)).abs().max()) < 1e-4 * float(network(sample).abs().max())


@torch.no_grad()
def test_more_channels_say_more_of_the_same(samples):
    network = rough(DoseNetwork(WIDE), 2)
    off = []
    for rank in (2, 4, 6):
        small = compress.compressed(network, samples, dataclasses.replace(WIDE, ranks=(rank,) * 4))
        off.append(sum(float((small(one) - network(one)).abs().mean()) for one in samples))
    assert off[0] > off[1] > off[2]


def test_channels_are_chosen_by_what_flows_through_them():
    """Two of six inputs carry everything: two channels are enough for a kernel of full rank."""
    torch.manual_seed(3)
    layer = torch.nn.Conv3d(6, 6, 3, padding=1)
    x = torch.zeros(1, 6, 9, 9, 9)
    x[:, [1, 4]] = torch.randn(1, 2, 9, 9, 9)
    moments = compress.Moments(layer)
    known = layer(x).detach()
    moments.hook.remove()
    # All six outputs, so that only the inputs are at stake: the basis of outputs is whole.
    small = compress.factored(layer, moments, 6)
    with torch.no_grad():
        into = small.into.weight[:, :, 0, 0, 0]
        strength = small.core.weight.square().sum((0, 2, 3, 4)).sqrt()
        through = (strength[:, None] * into).square().sum(0).sqrt() * torch.tensor([0, 1, 0, 0, 1, 0])
        assert float((small(x) - known).abs().max()) < 1e-4
        assert int((strength > 0.05 * strength.max()).sum()) == 2
        assert bool((through[[1, 4]] > 0).all())
    with pytest.raises(ValueError, match="nothing has gone through"):
        compress.factored(layer, compress.Moments(layer), 2)


@torch.no_grad()
def test_a_narrow_head_of_all_channels_is_the_wide_one(samples):
    network = rough(DoseNetwork(WIDE), 4)
    same = compress.narrowed(network, samples, 8)
    assert float((same(samples[0]) - network(samples[0])).abs().max()) < 1e-3
    narrow = compress.narrowed(network, samples, 4)
    assert narrow.shape.head == 4
    base = network.base(samples[0]) * samples[0][:, POSSIBLE : POSSIBLE + 1]
    mine, known = (n(samples[0]) - base for n in (narrow, network))
    assert float((mine - known).abs().mean()) < 0.7 * float(known.abs().mean())


def test_a_spread_is_positive_everywhere_and_smallest_where_no_dose_is(judged):
    network = rough(DoseNetwork(SMALL), 5)
    with torch.no_grad():
        dose, spread = network.with_spread(padded(judged[0].features)[0][None])
    assert dose.shape == spread.shape
    impossible = padded(judged[0].features)[0][POSSIBLE] == 0
    assert float((spread[0, 0][impossible] - SMALLEST_SPREAD).abs().max()) == 0
    assert float(spread[0, 0][~impossible].min()) > SMALLEST_SPREAD
    with pytest.raises(ValueError, match="tells no spread"):
        DoseNetwork(WIDE).with_spread(padded(judged[0].features)[0][None])


def test_the_likelihood_asks_for_the_mean_absolute_error_and_leaves_the_dose_alone():
    torch.manual_seed(6)
    predicted = torch.zeros(1, 1, 4, 4, 4, requires_grad=True)
    true, weight = torch.randn(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    scale = true.abs().mean()
    spread = scale.clone().expand(1, 1, 4, 4, 4).clone().requires_grad_()
    spread_loss(predicted, spread, true, weight).backward()
    assert predicted.grad is None

    def at(factor: float) -> float:
        return float(spread_loss(predicted, factor * spread, true, weight).detach())

    assert abs(float(spread.grad.sum())) < 1e-5
    assert at(1.3) > at(1.0) < at(0.7)
    assert float(dose_loss(predicted, true, weight).detach()) == pytest.approx(70 * float(scale), rel=1e-5)


def test_training_teaches_dose_and_spread(judged):
    run = training(judged, dataclasses.replace(PLAN, steps=30, muon=False, rate=6e-3, mean_decay=0.5, organs_kept=1.0))
    facts = padded(judged[0].features)[0][None]
    true = padded(judged[0].dose[None])[0][None]
    weight = facts[:, POSSIBLE : POSSIBLE + 1]

    def judge() -> tuple[float, float]:
        run.network.eval()
        with torch.no_grad():
            dose, spread = run.network.with_spread(facts)
        run.network.train()
        return float(dose_loss(dose, true, weight)), float(spread_loss(dose, spread, true, weight))

    before = judge()
    run.run(1e9, lambda _: None)
    after = judge()
    assert after[0] < 0.9 * before[0] and after[1] < before[1] - 0.2


def test_an_interrupted_run_with_dropout_ends_with_the_same_bits(judged, tmp_path):
    plan = dataclasses.replace(PLAN, steps=6, turned_until=1.01)
    whole, first = training(judged, plan), None
    whole.run(1e9, lambda _: None)
    first = training(judged, plan)
    for _ in range(3):
        first.one_step()
    first.save(tmp_path / "state.pt")
    torch.rand(7)
    second = training(judged, plan)
    second.load(tmp_path / "state.pt")
    second.run(1e9, lambda _: None)
    for mine, known in zip(second.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(mine, known)


def test_bfloat16_says_nearly_what_float32_says(judged):
    shape = dataclasses.replace(SMALL, channels=(16, 16, 16, 16), head=16, ranks=(16, 16, 16, 16), head_rank=16)
    losses = []
    for half in (False, True):
        run = training(judged, dataclasses.replace(PLAN, shape=shape, steps=2, dropout=0.0, bfloat16=half))
        run.one_step()
        losses.append(run.recent_loss())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_organs_go_missing_or_become_other_ones():
    generator = torch.Generator().manual_seed(7)
    views = [drawn(generator, False, 1.0, 0.8) for _ in range(400)]
    for part in ("missing", "unnamed"):
        share = sum(len(getattr(view, part)) for view in views) / (400 * len(ORGANS))
        assert 0.07 < share < 0.13
    assert not any(set(view.missing) & set(view.unnamed) for view in views)
    assert drawn(generator, False, 1.0).missing == ()
    facts = torch.rand(INPUTS, 2, 2, 2)
    facts[OTHER] = 0
    cord, brainstem = (facts[CHANNELS.index(name)].clone() for name in ("SpinalCord", "Brainstem"))
    disguised(facts, View(False, 0, (0, 0, 0), True, missing=("Brainstem",), unnamed=("SpinalCord",)))
    assert torch.equal(facts[OTHER], cord) and not facts[CHANNELS.index("SpinalCord")].any()
    assert not facts[CHANNELS.index("Brainstem")].any() and brainstem.any()


@torch.no_grad()
def test_the_file_tells_dose_and_spread_as_the_network_does(judged, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    shape = dataclasses.replace(SMALL, channels=(16, 16, 16, 16), ranks=(8, 8, 8, 8))
    network = rough(DoseNetwork(shape), 8, 0.05)
    write_onnx(network, tmp_path / "dose.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "dose.onnx"), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["features"] and session.get_inputs()[0].shape[1] == len(CHANNELS)
    assert [o.name for o in session.get_outputs()] == ["dose", "spread"]
    facts = padded(judged[0].features)[0][None]
    dose, spread = session.run(None, {"features": facts.numpy()})
    known = half_rounded(without_padding(network)).with_spread(facts)  # type: ignore[attr-defined]
    assert dose.shape == spread.shape == tuple(known[0].shape)
    for mine, other in zip((dose, spread), known, strict=True):
        assert 70 * np.abs(mine - other.numpy()).max() < 1e-3


def test_a_run_on_a_processor_goes_from_archive_to_report(tmp_path, monkeypatch):
    records, full = [], None
    for n in (1, 2, 201):
        one = patient(f"pt_{n}", seed=n, with_ct=n != 2)
        records.append(packed(one, fluence_bytes(one)))
        full = one
    write_archive(tmp_path / "archive", records)
    monkeypatch.setattr("sys.argv", ["cache", str(tmp_path / "archive"), str(tmp_path / "cached")])
    cache.main()
    known = cache.cached(tmp_path / "cached")
    assert [(one.name, one.has_ct) for one in known] == [("pt_1", True), ("pt_2", False), ("pt_201", True)]
    assert np.array_equal(cache.label_of(known[0].features).permute(1, 2, 0).numpy(), patient("pt_1", seed=1).label)
    wide = rough(DoseNetwork(WIDE), 9, 0.02).state_dict()
    torch.save({"weights": wide, "shape": dataclasses.asdict(WIDE)}, tmp_path / "wide.pt")
    command = ["compress", *(str(tmp_path / n) for n in ("wide.pt", "cached", "small.pt")), "--ranks", "4,4,4,4"]
    monkeypatch.setattr("sys.argv", [*command, "--head", "4", "--head-rank", "2", "--patients", "2"])
    compress.main()
    command = ["train", *(str(tmp_path / name) for name in ("cached", "out")), "--start", str(tmp_path / "small.pt")]
    command += shlex.split("--steps 2 --batch 1 --canvas 32,32,32 --turned-canvas 32,32,32 --device cpu --onnx")
    monkeypatch.setattr("sys.argv", [*command, "--dropout", "0.1", "--organs-kept", "0.9"])
    train.main()
    network = network_of(tmp_path / "out" / "weights.pt")
    assert network.shape.spread and isinstance(network.detail, Factored)
    (tmp_path / "folder").mkdir()
    assert full is not None
    np.savez(tmp_path / "folder" / "pt_201.npz", ct=(full.ct_hu + 1000).astype(np.uint16), label=full.label,
             dose=np.round(full.dose_gy * 100).astype(np.uint16), offset=np.zeros(3, np.int16),
             voxel_dimensions=np.array(full.spacing_mm, np.float32))  # fmt: skip
    command = ["evaluate", str(tmp_path / "folder"), str(tmp_path / "out" / "dose.onnx"), "--json"]
    monkeypatch.setattr("sys.argv", [*command, str(tmp_path / "a.json"), "--doses", str(tmp_path / "doses")])
    evaluate.main()
    again = [str(tmp_path / "b.json"), "--known", str(tmp_path / "a.json"), "--against", str(tmp_path / "a.json")]
    monkeypatch.setattr("sys.argv", [*command, *again])
    evaluate.main()
    report = json.loads((tmp_path / "b.json").read_text("utf-8"))
    assert report["summary"]["all"]["patients"] == report["summary"]["with_ct"]["patients"] == 1
    assert report["against"]["dose_score"]["gy"] == 0 and (tmp_path / "doses" / "pt_201.npz").is_file()


def test_intervals_hold_the_mean_and_narrow_with_patients():
    rng = np.random.default_rng(10)

    def group(n: int) -> dict[str, PatientScore]:
        cells = [{("mean", "Larynx"): float(rng.exponential()), ("D_95", "PTV70"): 1.0} for _ in range(n)]
        return {f"pt_{k}": PatientScore(float(rng.normal(2.5, 0.5)), cell) for k, cell in enumerate(cells)}

    few, many = group(20), group(320)
    for scores in (few, many):
        part = told(scores, ["pt_0", "pt_1"])
        dose, dvh = challenge_scores(scores.values())
        assert part["all"]["dose_score"]["gy"] == pytest.approx(dose, abs=1e-4)
        assert part["all"]["dvh_score"]["gy"] == pytest.approx(dvh, abs=1e-4)
        assert part["with_ct"]["patients"] == 2
        assert part["all"]["dose_score"]["low"] < dose < part["all"]["dose_score"]["high"]
    widths = [told(s, [])["all"]["dose_score"]["high"] - told(s, [])["all"]["dose_score"]["low"] for s in (few, many)]
    # Of a mean of n normal errors: 3.92 times 0.5 over the root of n.
    assert widths[0] == pytest.approx(3.92 * 0.5 / math.sqrt(20), rel=0.45)
    assert widths[1] == pytest.approx(3.92 * 0.5 / math.sqrt(320), rel=0.25)
    assert scores_of(document(few)) == few
    better = {name: PatientScore(one.dose_gy - 0.1, one.dvh_gy) for name, one in few.items()}
    off = difference(better, few)["dose_score"]
    assert off["gy"] == off["low"] == off["high"] == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="no patient in common"):
        difference(few, {"pt_999": few["pt_0"]})


def test_a_curve_shows_every_point_in_its_place():
    points = [{"seconds": 60.0 * n, "training_loss_gy": 4.0 - n, "dose_score": 3.0, "dvh_score": 2.0} for n in (1, 2)]
    picture = ElementTree.fromstring(curve.drawn(points, {"dose_score": 2.5}))
    space = "{http://www.w3.org/2000/svg}"
    assert len(picture.findall(f"{space}circle")) == 6
    training, dose, _ = (
        [tuple(float(v) for v in pair.split(",")) for pair in line.attrib["points"].split()]
        for line in picture.findall(f"{space}polyline")
    )
    assert training[0][1] == dose[0][1] and training[1][1] > dose[1][1]  # 3 Gy both, then 2 below 3
    assert training[1][0] - curve.LEFT == pytest.approx(2 * (training[0][0] - curve.LEFT), abs=0.1)
    (line,) = picture.findall(f"{space}line[@stroke-dasharray]")
    a_gy = training[1][1] - dose[1][1]
    assert float(line.attrib["y1"]) == pytest.approx(dose[0][1] + 0.5 * a_gy, abs=0.1)
    with pytest.raises(ValueError, match="no point yet"):
        curve.drawn([], {})


def test_a_network_learns_from_its_teachers(judged):
    plan = dataclasses.replace(PLAN, steps=3, teacher_weight=1.0, organs_kept=1.0, muon=False)
    cases = [Case(one.features.half(), one.dose[None].half()) for one in judged]
    wide = [rough(DoseNetwork(WIDE), seed, 0.05) for seed in (11, 12)]
    taught = Training(plan, cases, [100.0, 100.0], CPU, wide)
    more = (0,) * 7 + (INPUTS - len(CHANNELS),)
    facts = taught.laid_out(torch.nn.functional.pad(padded(judged[0].features)[0][None], more))
    with torch.no_grad():
        known = (wide[0](facts) + wide[1](facts)) / 2
    asked = taught._asked(facts)
    assert asked is not None and float((asked - known).abs().max()) < 1e-6
    alone = Training(plan, cases, [100.0, 100.0], CPU)
    assert alone._asked(facts) is None
    for run in (taught, alone):
        run.run(1e9, lambda _: None)
    pairs = zip(taught.network.parameters(), alone.network.parameters(), strict=True)
    assert any(not torch.equal(mine, other) for mine, other in pairs)


def test_a_zoomed_patient_is_larger_or_smaller(judged):
    case = Case(judged[0].features.half(), judged[0].dose[None].half())
    sizes = []
    for zoom in (0.8, 1.0, 1.25):
        weight = shown(case, View(False, 9, (0.5, 0.5, 0.5), True, zoom=zoom), (32, 64, 64))[2]
        sizes.append(float(weight.sum()))
    # Areas go with the square; a rim of mixed voxels does not count.
    assert sizes[0] / sizes[1] == pytest.approx(0.64, rel=0.1) and sizes[2] / sizes[1] == pytest.approx(1.56, rel=0.1)


def test_the_shipped_file_treats_a_made_up_patient_and_its_mirror_image_alike(judged):
    pytest.importorskip("onnxruntime")
    one = judged[0]
    runner = onnx_predictor(SHIPPED)
    # A width that needs no padding: zeros behind a patient are not mirrored.
    facts = torch.nn.functional.pad(one.features, (0, -one.features.shape[-1] % 16))
    dose, turned = predicted(runner, facts), predicted(runner, mirrored(facts)).flip(-1)
    assert float((dose - turned).abs().max()) < 1e-3
    assert not dose[facts[POSSIBLE] == 0].any()
    means = [float(dose[facts[CHANNELS.index(name)] > 0].mean()) for name in ("PTV70", "PTV56", "possible")]
    assert 63 < means[0] < 77  # within a tenth of the prescription: the phantom is unlike any patient
    assert means[0] > means[1] > means[2]
