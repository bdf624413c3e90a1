"""The training loop: its state, and one step after another until the minutes or steps of a run are spent.

The rate follows the spent share, so that a run ends with it at zero whatever else the machine had to do. A state goes
on exactly: what is drawn depends on the seed and the patch's number alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from engines.segmentation import Intensity
from models.dose.optimise import RunningMean, optimisers, rate_factor

from .augment import Sample, sample
from .config import RunConfig
from .data import ORGANS, PATCH, Volume
from .losses import organ_loss
from .network import OrganNetwork, Shape

CLIP = 1.0
"""Largest norm of a step's gradient (chosen)."""
RARE = {ORGANS.index("Esophagus"), ORGANS.index("Larynx")}
"""Organs that half of the patients or fewer have drawn."""
Patch = tuple[int, int, int]


class Training:
    """A network in training on patients that have an organ each. patch: z, y, x."""

    def __init__(
        self, config: RunConfig, volumes: Sequence[Volume], intensity: Intensity, patch: Patch = PATCH
    ) -> None:
        self.config, self.volumes, self.intensity, self.patch = config, volumes, intensity, patch
        torch.manual_seed(config.seed)
        network = OrganNetwork(Shape(config.channels, config.head))
        # Channels last take a third less time on a processor (CARD.md has the timing).
        self.network = network.to(memory_format=torch.channels_last_3d)
        self.optimisers = optimisers(self.network, rate=config.rate, decay=config.decay, muon=config.muon)
        self.mean = RunningMean(self.network, config.mean_decay)
        self.turns = [n for n, volume in enumerate(volumes) for _ in range(2 if RARE & set(volume.places) else 1)]
        self.step, self.elapsed_s = 0, 0.0
        self.losses: list[float] = []

    @property
    def spent(self) -> float:
        """Share of the run, 0 to 1."""
        steps, minutes = self.config.steps, self.config.minutes
        return min(1.0, self.step / steps if steps else self.elapsed_s / (60 * minutes))

    def run(self, then: Callable[[Training], None]) -> None:
        """Trains until the run is spent; calls `then` every so many minutes, whose time counts, and at the end."""
        began, before = time.monotonic(), self.elapsed_s
        last = began
        while self.spent < 1:
            self.one_step()
            now = time.monotonic()
            self.elapsed_s = before + now - began
            if now - last >= 60 * self.config.every_minutes and self.spent < 1:
                then(self)
                last = time.monotonic()
        then(self)

    def one_step(self) -> None:
        samples = [self._sample(self.step * self.config.batch + place) for place in range(self.config.batch)]
        image = torch.stack([one.image for one in samples]).to(memory_format=torch.channels_last_3d)
        inside, counts = (torch.stack([getattr(one, part) for one in samples]) for part in ("inside", "counts"))
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate_factor(self.spent)
        loss = organ_loss(self.network(image), inside, counts)
        loss.backward()
        clip_grad_norm_(self.network.parameters(), CLIP)
        for optimiser in self.optimisers:
            optimiser.step()
        self.mean.update(self.network)
        self.losses.append(float(loss.detach()))
        self.step += 1

    def _sample(self, number: int) -> Sample:
        """Every patient once a round, those with a rare organ twice; in another order each round."""
        turn, place = divmod(number, len(self.turns))
        order = np.random.default_rng((self.config.seed, 0, turn)).permutation(self.turns)
        random = np.random.default_rng((self.config.seed, 1, number))
        return sample(self.volumes[order[place]], self.intensity, self.patch, random)

    def recent_loss(self) -> float:
        """Mean loss since the last call; NaN where there was no step."""
        mean = float(np.mean(self.losses)) if self.losses else float("nan")
        self.losses.clear()
        return mean

    def save(self, path: Path) -> None:
        """Everything that the next step depends on; written beside and then put in place."""
        state = {
            "config": self.config.decisive, "network": self.network.state_dict(), "mean": self.mean.state(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step, "elapsed_s": self.elapsed_s,
        }  # fmt: skip
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Raises ValueError for the state of another run."""
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["config"] != self.config.decisive:
            raise ValueError(f"{path.name} is of a run with {state['config']}, not {self.config.decisive}")
        self.network.load_state_dict(state["network"])
        self.mean.load(state["mean"])
        for optimiser, known in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(known)
            for group in optimiser.param_groups:
                group["peak"] = self.config.rate
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
