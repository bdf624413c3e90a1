"""Trains the network of organs on a processor.

    python -m models.organs.train models/organs/train.toml [--minutes N]

The run's folder gets, every so many minutes and at the end: state.pt, from which the same command goes on (with more
--minutes also beyond the end; the rate rises again), weights.pt, the running mean of the weights, and curve.json: the
loss and the Dice of the watched patients.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.segmentation import Intensity
from engines.segmentation.tiling import Volume as Array
from engines.segmentation.tiling import run_tiled
from models.dose.console import say

from .config import RunConfig
from .data import COUNTS, FIRST_VALIDATION, ORGANS, Volume, intensity_of, load_cache, spec_of
from .network import OrganNetwork
from .training import Training


def watched_dice(network: OrganNetwork, volumes: Sequence[Volume], intensity: Intensity) -> dict[str, float]:
    """Mean Dice of each organ over the patients in whom it is drawn, on the voxels that count."""
    spec = spec_of(intensity)

    def run(patch: Array) -> Array:
        given = torch.from_numpy(np.ascontiguousarray(patch))[None, None]
        with torch.no_grad():
            said = network(given.to(memory_format=torch.channels_last_3d)).sigmoid()[0]
        return np.asarray(said.numpy())

    found: dict[str, list[float]] = {name: [] for name in ORGANS}
    for volume in volumes:
        image = intensity.apply(volume.hu)
        shares = run_tiled(image, spec.patch, run, channels=len(ORGANS), overlap=spec.overlap, sigma=spec.sigma)
        for channel in volume.places:
            counts = (volume.bits >> COUNTS + channel & 1) > 0
            mine, true = (shares[channel] >= 0.5) & counts, (volume.bits >> channel & 1) > 0
            found[ORGANS[channel]].append(2 * int((mine & true).sum()) / max(1, int(mine.sum()) + int(true.sum())))
    return {name: round(float(np.mean(dice)), 4) for name, dice in found.items() if dice}


class Recorder:
    """Looks at the running mean of weights and writes what must not be lost."""

    def __init__(self, out: Path, watched: Sequence[Volume], card: dict[str, Any]) -> None:
        self.out, self.watched = out, watched
        self.document: dict[str, Any] = {**card, "curve": []}
        out.mkdir(parents=True, exist_ok=True)

    def go_on(self, step: int) -> None:
        """Keeps what an earlier run into the same folder told up to this step."""
        told = self.out / "curve.json"
        if told.is_file():
            known = json.loads(told.read_text("utf-8"))["curve"]
            self.document["curve"] = [entry for entry in known if entry["step"] <= step]

    def __call__(self, training: Training) -> None:
        training.save(self.out / "state.pt")
        began = time.monotonic()
        training.mean.swap(training.network)
        part = self.out / "weights.part"
        weights = training.network.state_dict()
        torch.save({"weights": weights, "shape": asdict(training.network.shape), "step": training.step}, part)
        part.replace(self.out / "weights.pt")
        dice = watched_dice(training.network, self.watched, training.intensity)
        training.mean.swap(training.network)
        entry = {
            "step": training.step, "minutes": round(training.elapsed_s / 60, 2), "spent": round(training.spent, 4),
            "loss": round(training.recent_loss(), 4), "dice": dice, "look_s": round(time.monotonic() - began, 1),
        }  # fmt: skip
        self.document["curve"].append(entry)
        (self.out / "curve.json").write_text(json.dumps(self.document, indent=1) + "\n", "utf-8")
        say(json.dumps(entry))


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the network of organs on a processor.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--minutes", type=float, help="of the whole run, instead of the file's")
    asked = parser.parse_args()
    config = RunConfig.load(asked.config)
    if asked.minutes:
        config = config.model_copy(update={"minutes": asked.minutes})
    torch.set_num_threads(config.threads)
    volumes = [volume for volume in load_cache(config.cache) if volume.places and volume.number < FIRST_VALIDATION]
    trained = [volume for volume in volumes if volume.number not in config.watched]
    training = Training(config, trained, intensity_of(config.cache))
    card = {
        "config": config.model_dump(mode="json", exclude={"cache", "out"}),
        "patients": len(trained), "drawn": {name: sum(n in v.places for v in trained) for n, name in enumerate(ORGANS)},
        "parameters": sum(weight.numel() for weight in training.network.parameters()),
    }  # fmt: skip
    say(json.dumps(card))
    recorder = Recorder(config.out, [volume for volume in volumes if volume.number in config.watched], card)
    state = config.out / "state.pt"
    if state.is_file():
        training.load(state)
        recorder.go_on(training.step)
        say(f"goes on at step {training.step}")
    training.run(recorder)


if __name__ == "__main__":
    main()
