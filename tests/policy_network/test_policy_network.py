"""The policy's network: levers have no order, padding says nothing, and its ONNX file is the same network."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from appliance.execution.policies.learned import ILLEGAL, Answer, LearnedPolicy, choices  # noqa: E402
from appliance.execution.steering.changes import Change  # noqa: E402
from engines.runtime import Backend, RuntimeOptions, open_network  # noqa: E402
from models.policy.choices import Choices, Known  # noqa: E402
from models.policy.experience import UNKNOWN  # noqa: E402
from models.policy.export import INPUTS, OUTPUTS, onnx_bytes  # noqa: E402
from models.policy.network import PolicyNetwork, Shape, weights_of  # noqa: E402

torch.set_num_threads(1)
NEAR = 1e-5


def network(shape: Shape | None = None) -> PolicyNetwork:
    """Untrained, and away from its small first answers."""
    torch.manual_seed(3)
    made = PolicyNetwork(shape).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return made


def asked(levers: int, batch: int = 1, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """tokens, present, context, legal."""
    random = torch.Generator().manual_seed(seed)
    shape = Shape()
    legal = (torch.rand(batch, levers, len(Change), generator=random) < 0.6).float()
    legal[..., Change.KEEP] = 1
    return (
        torch.randn(batch, levers, shape.tokens, generator=random), torch.ones(batch, levers),
        torch.randn(batch, shape.context, generator=random), legal,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made() -> PolicyNetwork:
    return network()


@pytest.fixture(scope="module")
def opened(made):
    options = RuntimeOptions(backends=(Backend.ONNX_CPU,))
    return open_network(onnx_bytes(made), name="policy", options=options)


def test_it_is_small():
    assert 100_000 <= weights_of(PolicyNetwork()) <= 300_000


@pytest.mark.parametrize("levers", [1, 2, 9, 31])
@torch.no_grad()
def test_exchanging_levers_exchanges_what_is_said_of_them(made, levers):
    tokens, present, context, legal = asked(levers)
    order = torch.randperm(levers, generator=torch.Generator().manual_seed(1))
    logits, stop, value = made(tokens, present, context, legal)
    other = made(tokens[:, order], present, context, legal[:, order])
    for mine, known in zip(other, (logits[:, order], stop, value), strict=True):
        assert torch.allclose(mine, known, atol=NEAR)


@torch.no_grad()
def test_padding_says_nothing_whatever_it_holds(made):
    tokens, present, context, legal = asked(6)
    more = [torch.cat([part, 100 * torch.ones_like(part[:, :3])], 1) for part in (tokens, legal)]
    there = torch.cat([present, torch.zeros(1, 3)], 1)
    alone, padded = made(tokens, present, context, legal), made(more[0], there, context, more[1])
    assert torch.allclose(padded[0][:, :6], alone[0], atol=NEAR)
    assert torch.allclose(padded[1], alone[1], atol=NEAR) and torch.allclose(padded[2], alone[2], atol=NEAR)


@torch.no_grad()
def test_one_lever_is_heard_by_another(made):
    tokens, present, context, legal = asked(4)
    first = made(tokens, present, context, legal)[0]
    tokens[0, 3] += 1
    assert float((made(tokens, present, context, legal)[0][0, 0] - first[0, 0]).abs().max()) > 1e-3


@torch.no_grad()
def test_what_is_not_legal_is_never_likely(made):
    tokens, present, context, legal = asked(9, batch=4)
    logits = made(tokens, present, context, legal)[0]
    assert ((logits == ILLEGAL) == (legal == 0)).all()


@pytest.mark.parametrize(("levers", "batch"), [(1, 1), (2, 5), (13, 1), (40, 3), (300, 1)])
def test_the_onnx_file_is_the_network_for_any_number_of_levers_in_any_order(made, opened, levers, batch):
    rows = asked(levers, batch, seed=levers)
    order = torch.randperm(levers, generator=torch.Generator().manual_seed(2))
    rows[1][:, levers // 2 + 1 :] = 0
    for tokens, present, context, legal in (rows, (rows[0][:, order], rows[1][:, order], rows[2], rows[3][:, order])):
        with torch.no_grad():
            known = made(tokens, present, context, legal)
        fed = dict(zip(INPUTS, (part.numpy() for part in (tokens, present, context, legal)), strict=True))
        found = opened.run(fed)
        for name, answer in zip(OUTPUTS, known, strict=True):
            assert found[name].shape == tuple(answer.shape) and found[name].dtype == np.float32
            assert np.abs(found[name] - answer.numpy())[answer.numpy() > ILLEGAL].max() < NEAR


def test_the_file_is_small(made):
    assert len(onnx_bytes(made)) < 1_500_000


@pytest.mark.parametrize("one_only", [False, True])
@torch.no_grad()
def test_an_answer_means_the_same_in_torch_as_in_the_product(made, one_only):
    tokens, present, context, legal = asked(5, batch=3)
    logits, stop, value = made(tokens, present, context, legal)
    actions = torch.zeros(3, 5, dtype=torch.int64)
    lever = legal[1, :, 1:].sum(1).argmax()
    actions[1, lever] = 1 + legal[1, lever, 1:].argmax()
    nothing = torch.zeros(3)
    known = Known(
        tokens, present, context, legal, actions, nothing > 0, nothing, nothing, actions * 0 + UNKNOWN, nothing - 1
    )
    found = Choices.of(made, known, one_only=one_only)
    for n in range(3):
        answer = Answer(logits[n].double().numpy(), float(stop[n]), float(value[n]))
        chances = choices(answer, one_only=one_only)
        assert np.allclose(found.log_chances[n].exp().numpy(), chances, atol=1e-6)
    picked = found.logprob(actions)
    columns = actions[1] if not one_only else torch.tensor([lever * 6 + actions[1, lever]])
    assert torch.allclose(picked[1], found.log_chances[1, torch.arange(len(columns)), columns])
    assert float(found.entropy()[0].min()) >= 0


def test_the_learned_policy_runs_the_file(opened):
    from models.policy.behaviour import Behaviour, record
    from models.policy.toy import Toy, ToyRules, toy_episode

    def run(*rows):
        found = opened.run(dict(zip(INPUTS, rows, strict=True)))
        return tuple(found[name] for name in OUTPUTS)

    told = record(toy_episode(Toy()), Behaviour(run, ToyRules(), np.random.default_rng(1)))
    episode = toy_episode(Toy())
    action = LearnedPolicy(run).act(episode.reset())
    assert len(told) >= 1 and len(action.changes) in (0, 3)
