"""Trains the voxel network on a CPU: draws voxels of every patient once, then fits them.

    python -m models.dose.voxel_train draw ARCHIVE OUT.pt [--voxels N] [--validation]
    python -m models.dose.voxel_train fit DRAWN.pt VALIDATION.pt OUT --seconds N [--seed N]

`fit` writes OUT/metrics.json (the learning curve on drawn validation voxels) and OUT/weights.pt.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .console import say
from .data import Patient, read_archive, unpacked
from .features import CHANNELS, DOSE_UNIT_GY, POSSIBLE, RIGHT_LEFT
from .network import padded
from .optimise import RunningMean, rate_factor
from .pack import fluence_of
from .predict import Judged
from .train import FIRST_VALIDATION, number
from .voxel import CUBES, VoxelNetwork, surroundings

REGION_SHARE = 0.35
"""Of the drawn voxels: inside organs and targets, which the DVH metrics look at; the rest anywhere dose is possible."""
REGION_WEIGHT = 0.4
"""Of a voxel that was drawn for its region (chosen: the dose score counts voxels alike, the DVH score regions)."""
CT_DROPPED = 0.15


def draw(patient: Patient, fluence: Tensor, count: int, random: torch.Generator) -> dict[str, Tensor]:
    """facts (count, FACTS) float16, dose (count,) in DOSE_UNIT_GY, weight (count,)."""
    one = Judged.of(patient, torch.device("cpu"), fluence)
    grown, place = padded(one.features)
    facts = surroundings(grown[None])[0][(slice(None), *place)].flatten(1)
    possible = torch.nonzero(one.features[POSSIBLE].flatten() > 0)[:, 0]
    regions = torch.nonzero((one.features[1:11].sum(0) * one.features[POSSIBLE]).flatten() > 0)[:, 0]
    of_regions = round(REGION_SHARE * count)
    picked = [_some(possible, count - of_regions, random), _some(regions, of_regions, random)]
    chosen = torch.cat(picked)
    weight = torch.cat([torch.ones(len(picked[0])), torch.full((len(picked[1]),), REGION_WEIGHT)])
    return {"facts": facts[:, chosen].T.half(), "dose": one.dose.flatten()[chosen], "weight": weight}


def _some(indices: Tensor, count: int, random: torch.Generator) -> Tensor:
    return indices[torch.randint(len(indices), (count,), generator=random)]


def drawn(archive: Path, count: int, *, validation: bool) -> dict[str, Tensor]:
    random, parts = torch.Generator().manual_seed(5), []
    for patient, extra in _patients(archive):
        if (number(patient.name) >= FIRST_VALIDATION) == validation:
            parts.append(draw(patient, fluence_of(extra), count, random))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _patients(archive: Path) -> Iterator[tuple[Patient, dict[str, Any]]]:
    for record in read_archive(archive):
        yield unpacked(record)


def fit(
    network: VoxelNetwork, known: dict[str, Tensor], told: dict[str, Tensor], plan: argparse.Namespace
) -> list[Any]:
    """Fits until the seconds are spent, the rate following them; returns the learning curve."""
    torch.manual_seed(plan.seed)
    network.learn_scale(known["facts"][:: max(1, len(known["dose"]) // 50_000)].float())
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
    mean, curve, began, step = RunningMean(network, 0.998), [], time.process_time(), 0
    losses: list[float] = []
    while (spent := (time.process_time() - began) / plan.seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * rate_factor(spent)
        rows = torch.randint(len(known["dose"]), (plan.batch,))
        facts = _varied(known["facts"][rows].float())
        off = (network.of_facts(facts[:, :, None, None, None]).flatten() - known["dose"][rows]).abs()
        loss = DOSE_UNIT_GY * (off * known["weight"][rows]).sum() / known["weight"][rows].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        mean.update(network)
        losses.append(float(loss.detach()))
        step += 1
        if step % 500 == 0:
            curve.append(_entry(network, mean, told, step, spent, losses))
    curve.append(_entry(network, mean, told, step, 1.0, losses))
    mean.swap(network)
    return curve


def _varied(facts: Tensor) -> Tensor:
    """Half of the rows mirrored (which swaps the parotids), some without their CT."""
    n, levels = len(facts), len(CUBES) + 2
    facts = facts.view(n, levels, len(CHANNELS))
    right, left = RIGHT_LEFT
    swap = torch.rand(n, 1) < 0.5
    a, b = facts[..., right].clone(), facts[..., left].clone()
    facts[..., right], facts[..., left] = torch.where(swap, b, a), torch.where(swap, a, b)
    ct = [CHANNELS.index("ct"), CHANNELS.index("has_ct")]
    facts[..., ct] *= (torch.rand(n, 1, 1) >= CT_DROPPED).float()
    return facts.view(n, -1)


def _entry(
    network: VoxelNetwork, mean: RunningMean, told: dict[str, Tensor], step: int, spent: float, losses: list[float]
) -> dict[str, float]:  # fmt: skip
    mean.swap(network)
    with torch.no_grad():
        every = told["weight"] == 1.0
        parts = told["facts"][every].split(20_000)
        found = torch.cat([network.of_facts(part.float()[:, :, None, None, None]).flatten() for part in parts])
        off = DOSE_UNIT_GY * float((found - told["dose"][every]).abs().mean())
    mean.swap(network)
    entry = {"step": step, "spent": round(spent, 3), "training_gy": round(sum(losses) / max(1, len(losses)), 4)}
    losses.clear()
    entry["validation_gy"] = round(off, 4)
    say(json.dumps(entry))
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the voxel network on a CPU.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    first = verbs.add_parser("draw")
    first.add_argument("archive", type=Path)
    first.add_argument("out", type=Path)
    first.add_argument("--voxels", type=int, default=4000, help="of each patient")
    first.add_argument("--validation", action="store_true")
    second = verbs.add_parser("fit")
    for name in ("drawn", "validation", "out"):
        second.add_argument(name, type=Path)
    second.add_argument("--seconds", type=float, default=600.0, help="CPU seconds")
    second.add_argument("--seed", type=int, default=1)
    second.add_argument("--rate", type=float, default=2e-3)
    second.add_argument("--decay", type=float, default=0.01)
    second.add_argument("--batch", type=int, default=4096)
    asked = parser.parse_args()
    if asked.verb == "draw":
        torch.save(drawn(asked.archive, asked.voxels, validation=asked.validation), asked.out)
        return
    known, told = (torch.load(path, weights_only=True) for path in (asked.drawn, asked.validation))
    torch.manual_seed(asked.seed)
    network = VoxelNetwork()
    curve = fit(network, known, told, asked)
    asked.out.mkdir(parents=True, exist_ok=True)
    plan = {name: getattr(asked, name) for name in ("seconds", "seed", "rate", "decay", "batch")}
    size = sum(weight.numel() for weight in network.parameters())
    document = {"plan": plan, "parameters": size, "drawn_voxels": len(known["dose"]), "curve": curve}
    (asked.out / "metrics.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    torch.save(network.state_dict(), asked.out / "weights.pt")


if __name__ == "__main__":
    main()
