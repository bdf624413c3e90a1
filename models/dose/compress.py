"""Makes a trained network smaller, so that training on can make it good again.

    python -m models.dose.compress WEIGHTS FOLDER OUT [--ranks 32,40,48,48] [--head 16] [--head-rank 8]

WEIGHTS of train.py, FOLDER of cache.py. First the head is narrowed to the channels that say most, and its last map
fitted anew. Then every 3 x 3 x 3 convolution goes through fewer channels (network.Factored). Which ones is chosen by
what flows through it on a few training patients, not by its weights alone: the outputs' leading directions, and the
inputs' that the weighted kernel uses most (Tucker-2 as in Kim et al., ICLR 2016; weighted by the inputs' second
moments).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .augment import Case, View, shown
from .cache import cached
from .console import say
from .export import network_of
from .network import Block, DoseNetwork, Factored, Shape

CANVAS = (48, 64, 96)
MIDDLE = View(False, 0, (0.5, 0.5, 0.5), True)
RIDGE = 1e-4
"""Of the mean second moment: directions that hardly flow are not blown up."""


class Moments:
    """Second moments of what goes into a layer and comes out of it (without its bias), gathered while it is hooked."""

    def __init__(self, layer: nn.Conv3d | Factored) -> None:
        self.into: Tensor | None = None
        self.out: Tensor | None = None
        self.bias = layer.out.bias if isinstance(layer, Factored) else layer.bias
        self.hook = layer.register_forward_hook(self._seen)

    def _seen(self, _: nn.Module, given: tuple[Tensor, ...], told: Tensor) -> None:
        into, out = _square(given[0]), _square(told - self.bias.view(1, -1, 1, 1, 1))
        self.into = into if self.into is None else self.into + into
        self.out = out if self.out is None else self.out + out


def _square(x: Tensor) -> Tensor:
    flat = x.transpose(0, 1).reshape(x.shape[1], -1).double()
    return flat @ flat.T / flat.shape[1]


def factored(layer: nn.Conv3d, moments: Moments, rank: int) -> Factored:
    """The layer through `rank` channels each way, by the moments. Raises ValueError where none were gathered."""
    if moments.into is None or moments.out is None:
        raise ValueError("nothing has gone through this layer")
    into, out = moments.into, moments.out
    values, vectors = torch.linalg.eigh(into + RIDGE * into.diagonal().mean() * torch.eye(len(into), dtype=into.dtype))
    root, inverse = (vectors * values.sqrt()) @ vectors.T, (vectors / values.sqrt()) @ vectors.T
    basis = torch.linalg.eigh(out).eigenvectors[:, -rank:]
    weight = torch.einsum("or,oixyz,ij->rjxyz", basis, layer.weight.double(), root)
    unfolded = weight.transpose(0, 1).reshape(weight.shape[1], -1)
    kept = torch.linalg.svd(unfolded, full_matrices=False).U[:, :rank]
    made = Factored(layer.in_channels, layer.out_channels, rank)
    with torch.no_grad():
        made.into.weight.copy_((kept.T @ inverse)[:, :, None, None, None])
        made.core.weight.copy_(torch.einsum("rjxyz,js->rsxyz", weight, kept))
        made.out.weight.copy_(basis[:, :, None, None, None])
        made.out.bias.copy_(layer.bias)
    return made


@torch.no_grad()
def narrowed(network: DoseNetwork, samples: Sequence[Tensor], head: int) -> DoseNetwork:
    """The same trunk with a head of fewer channels: those whose size times last weight is largest, within the head's
    block those whose size times leaving weights is."""
    block: Block = network.fine  # type: ignore[assignment]
    hidden, ends = Moments(block.first), Moments(network.to_full)  # type: ignore[arg-type]
    finished: list[Tensor] = []
    hook = network.last.register_forward_hook(lambda _, given, __: finished.append(functional.silu(given[0])))
    for sample in samples:
        network(sample)
    for each in (hidden.hook, ends.hook, hook):
        each.remove()
    if hidden.out is None:
        raise ValueError("no sample has gone through the network")
    flat = torch.cat([one.transpose(0, 1).flatten(1) for one in finished], 1)[:, ::7].double()
    last = network.last.map.weight[0].double()  # type: ignore[union-attr, index]
    kept = (flat.square().mean(1).sqrt() * last.abs()).topk(head).indices.sort().values
    leaving = block.second.weight.double().square().sum((0, 2, 3, 4)).sqrt()  # type: ignore[union-attr, operator]
    inner = (hidden.out.diagonal().sqrt() * leaving).topk(head).indices.sort().values
    made = DoseNetwork(replace(network.shape, head=head))
    state = {name: weight.clone() for name, weight in network.state_dict().items()}
    for name in ("detail.weight", "detail.bias", "to_full.bias", "fine.second.bias"):
        state[name] = state[name][kept]
    state["to_full.weight"] = state["to_full.weight"][:, kept]
    state["fine.first.weight"] = state["fine.first.weight"][inner][:, kept]
    state["fine.first.bias"] = state["fine.first.bias"][inner]
    state["fine.second.weight"] = state["fine.second.weight"][kept][:, inner]
    state["last.map.weight"] = state["last.map.weight"][:, kept]
    made.load_state_dict(state)
    _fit_last(made, samples, last @ flat + network.last.map.bias.double())  # type: ignore[union-attr, operator]
    return made


def _fit_last(network: DoseNetwork, samples: Sequence[Tensor], asked: Tensor) -> None:
    """Least squares of the last map to what the wide head said (every seventh voxel)."""
    finished: list[Tensor] = []
    hook = network.last.register_forward_hook(lambda _, given, __: finished.append(functional.silu(given[0])))
    for sample in samples:
        network(sample)
    hook.remove()
    flat = torch.cat([one.transpose(0, 1).flatten(1) for one in finished], 1)[:, ::7].double()
    rows = torch.cat([flat, torch.ones(1, flat.shape[1], dtype=flat.dtype)])
    solved = torch.linalg.solve(rows @ rows.T + 1e-6 * torch.eye(len(rows), dtype=flat.dtype), rows @ asked)
    network.last.map.weight.copy_(solved[None, :-1])  # type: ignore[union-attr, operator]
    network.last.map.bias.copy_(solved[-1:])  # type: ignore[union-attr, operator]


@torch.no_grad()
def compressed(network: DoseNetwork, samples: Sequence[Tensor], shape: Shape) -> DoseNetwork:
    """A network of `shape`, which differs from the given one's in head, ranks and spread only, that says nearly the
    same on the samples (features (1, INPUTS, ...)); its spread is as untrained."""
    if shape.head < network.shape.head:
        network = narrowed(network, samples, shape.head)
    convs = {
        name: part for name, part in network.named_modules()
        if isinstance(part, nn.Conv3d) and part.kernel_size == (3, 3, 3)
    }  # fmt: skip
    seen = {name: Moments(part) for name, part in convs.items()}
    for sample in samples:
        network(sample)
    made = DoseNetwork(shape)
    state = network.state_dict()
    for name, part in convs.items():
        seen[name].hook.remove()
        target = made.get_submodule(name)
        if not isinstance(target, Factored):
            continue
        small = factored(part, seen[name], target.core.in_channels)
        for end in ("weight", "bias"):
            state.pop(f"{name}.{end}")
        state |= {f"{name}.{inner}": weight for inner, weight in small.state_dict().items()}
    if shape.spread:
        width = shape.head
        state["last.map.weight"] = torch.cat([state["last.map.weight"], torch.zeros(1, width)])
        state["last.map.bias"] = torch.cat([state["last.map.bias"], torch.zeros(1)])
    made.load_state_dict(state)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes a trained network smaller.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ranks", default="32,40,48,48")
    parser.add_argument("--head", type=int, default=16)
    parser.add_argument("--head-rank", type=int, default=8)
    parser.add_argument("--patients", type=int, default=8)
    asked = parser.parse_args()
    network = network_of(asked.weights)
    shape = replace(
        network.shape, head=asked.head, head_rank=asked.head_rank, spread=True,
        ranks=tuple(int(n) for n in asked.ranks.split(",")),
    )  # fmt: skip
    few = cached(asked.folder)[: asked.patients]
    samples = [shown(Case(one.features, one.dose[None]), MIDDLE, CANVAS)[0][None].float() for one in few]
    small = compressed(network, samples, shape)
    torch.save({"weights": small.state_dict(), "shape": asdict(shape), "step": 0}, asked.out)
    say(f"{sum(w.numel() for w in small.parameters()) / 1e6:.2f} million weights")


if __name__ == "__main__":
    main()
