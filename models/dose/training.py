"""The training loop: what a run needs to know, its state, and one step after another until the budget is spent.

The schedule follows the share of the budget that is spent: seconds of training on a machine, so that a run of N
seconds ends with its rate at zero, or steps, so that tests and resumed runs can be compared bit by bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from .augment import Case, disguised, drawn, shown
from .losses import coarse_loss, dose_loss, dvh_loss, region_bits, spread_loss
from .network import DoseNetwork, Shape
from .optimise import RunningMean, optimisers, rate_factor


@dataclass(frozen=True)
class Plan:
    """One run. Budget: seconds, or steps where `steps` is set. Canvases (inferior, posterior, left) of patients as they
    lie and turned."""

    seconds: float = 480.0
    steps: int = 0
    batch: int = 4
    rate: float = 1e-3
    decay: float = 0.05
    muon: bool = True
    seed: int = 1
    shape: Shape = field(default_factory=Shape)
    canvas: tuple[int, int, int] = (96, 64, 112)
    turned_canvas: tuple[int, int, int] = (64, 96, 96)
    turned_share: float = 0.5
    turned_until: float = 0.85
    ct_kept: float = 0.85
    organs_kept: float = 1.0
    zoom: float = 0.0
    dropout: float = 0.0
    spread_weight: float = 0.1
    teacher_weight: float = 0.0
    bfloat16: bool = False
    coarse_until: float = 0.6
    dvh_from: float = 0.5
    dvh_weight: float = 0.15
    clip: float = 1.0
    mean_decay: float = 0.998


class Training:
    """A network in training. `cases` lie on the device; voxel_mm3 of each. teachers: networks whose mean dose it learns
    besides the truth (an ensemble told by one network: Hinton et al., 2015), by the plan's teacher_weight."""

    def __init__(
        self, plan: Plan, cases: Sequence[Case], voxel_mm3: Sequence[float], device: torch.device,
        teachers: Sequence[DoseNetwork] = (),
    ) -> None:  # fmt: skip
        self.teachers = [teacher.to(device, memory_format=torch.channels_last_3d).eval() for teacher in teachers]
        self.plan, self.cases, self.voxel_mm3, self.device = plan, cases, voxel_mm3, device
        torch.manual_seed(plan.seed)
        network = DoseNetwork(plan.shape).to(device)
        self.network = network.to(memory_format=torch.channels_last_3d)
        self.network.dropout = plan.dropout
        self.optimisers = optimisers(self.network, rate=plan.rate, decay=plan.decay, muon=plan.muon)
        self.mean = RunningMean(self.network, plan.mean_decay)
        self.random = torch.Generator().manual_seed(plan.seed)
        self.step, self.elapsed, self.order = 0, 0.0, [0][:0]
        self.losses: list[Tensor] = []

    @property
    def spent(self) -> float:
        """Share of the budget, 0 ... 1."""
        done = self.step / self.plan.steps if self.plan.steps else self.elapsed / self.plan.seconds
        return min(1.0, done)

    def run(self, every_seconds: float, then: Callable[[Training], None]) -> None:
        """Trains until the budget is spent, calling `then` now and again (its time counts) and at the end."""
        began, before = time.monotonic(), self.elapsed
        last = began
        while self.spent < 1:
            self.one_step()
            # Without waiting now and again the processor would queue work far beyond the budget.
            if self.step % 4 == 0 and self.device.type == "cuda":
                torch.cuda.synchronize()
            now = time.monotonic()
            self.elapsed = before + now - began
            if now - last >= every_seconds and self.spent < 1:
                then(self)
                last = time.monotonic()
        then(self)

    def one_step(self) -> None:
        plan, spent = self.plan, self.spent
        turned = spent < plan.turned_until and float(torch.rand((), generator=self.random)) < plan.turned_share
        canvas = plan.turned_canvas if turned else plan.canvas
        chosen = [self._next() for _ in range(plan.batch)]
        views = [drawn(self.random, turned, plan.ct_kept, plan.organs_kept, plan.zoom) for _ in chosen]
        samples = [shown(self.cases[n], view, canvas) for n, view in zip(chosen, views, strict=True)]
        late = spent >= plan.dvh_from and not turned
        regions = [region_bits(facts) for facts, _, _ in samples] if late else []
        for (facts, _, _), view in zip(samples, views, strict=True):
            disguised(facts, view)
        features, true, weight = (torch.stack(part) for part in zip(*samples, strict=True))
        features = self.laid_out(features)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate_factor(spent)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=plan.bfloat16 or self.device.type == "cuda"):
            predicted, spread, told = self.network.everything(features)
            asked = self._asked(features)
        loss = dose_loss(predicted, true, weight)
        self.losses.append(loss.detach())
        if spent < plan.coarse_until:
            loss = loss + coarse_loss(told, self.network.base(features).detach(), true, weight)
        if asked is not None:
            loss = loss + plan.teacher_weight * dose_loss(predicted, asked, weight)
        if spread is not None:
            loss = loss + plan.spread_weight * spread_loss(predicted, spread, true, weight)
        if late:
            loss = loss + plan.dvh_weight * dvh_loss(predicted, true, regions, [self.voxel_mm3[n] for n in chosen])
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip_grad_norm_(self.network.parameters(), plan.clip)
        # On a processor PyTorch 2.13's bfloat16 convolutions of a few channels give a NaN now and then: left out.
        if self.device.type == "cuda" or bool(norm.isfinite()):
            for optimiser in self.optimisers:
                optimiser.step()
        self.mean.update(self.network)
        self.step += 1

    @torch.no_grad()
    def _asked(self, features: Tensor) -> Tensor | None:
        """The mean of what the teachers say of the same view; None without them."""
        if not self.teachers or not self.plan.teacher_weight:
            return None
        return torch.stack([teacher(features) for teacher in self.teachers]).mean(0)

    def laid_out(self, features: Tensor) -> Tensor:
        """Channels last; float32 where nothing converts it on the way."""
        kind = features.dtype if self.device.type == "cuda" else torch.float32
        return features.to(kind, memory_format=torch.channels_last_3d)

    def _next(self) -> int:
        if not self.order:
            self.order = torch.randperm(len(self.cases), generator=self.random).tolist()
        return self.order.pop()

    def recent_loss(self) -> float:
        """Mean dose loss in Gy since the last call; NaN where there was no step."""
        mean = float(torch.stack(self.losses).mean()) if self.losses else float("nan")
        self.losses.clear()
        return mean

    # ---- checkpoints -------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Everything that the next step depends on; written beside and then put in place."""
        state = {
            "plan": asdict(self.plan), "network": self.network.state_dict(), "mean": self.mean.state(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "random": self.random.get_state(), "dropout": torch.get_rng_state(),
            "step": self.step, "elapsed": self.elapsed, "order": self.order,
        }  # fmt: skip
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def start_from(self, weights: dict[str, Tensor]) -> None:
        """Begins a run with the weights of another."""
        self.network.load_state_dict({name: weight.float() for name, weight in weights.items()})
        self.mean = RunningMean(self.network, self.plan.mean_decay)

    def load(self, path: Path) -> None:
        """Raises ValueError for a checkpoint of another network."""
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        if state["plan"]["shape"] != asdict(self.plan)["shape"]:
            raise ValueError(f"{path.name} is of a network of shape {state['plan']['shape']}")
        self.network.load_state_dict(state["network"])
        self.mean.load(state["mean"])
        for optimiser, known in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(known)
        self.random.set_state(state["random"].cpu())
        torch.set_rng_state(state["dropout"].cpu())
        self.step, self.elapsed, self.order = state["step"], state["elapsed"], state["order"]
