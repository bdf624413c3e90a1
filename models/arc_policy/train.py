"""Trains the network: first to imitate what the optimiser did, then by the merit of what it proposes itself.

    python -m models.arc_policy.train RECORDED CACHE OUT [--imitate 60] [--seconds 300] [--cases 12] [--check 3]

RECORDED: of `recording.py`. OUT/network.pt, arc_policy.onnx and history.jsonl are written. In the second part the
network takes its own steps on training patients; the slopes of the merit where a step ends are exact, and train the
answer that led there (policy gradient with an exact gradient; making paths legal counts as the identity)."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from appliance.planning.moving_vector import FieldPath
from models.dose.console import say
from models.policy.cases import OPENKBP

from .export import onnx_bytes
from .features import MOST_LOG_MU, MOST_STEP_MM, STEP_MM, Map, answer, features
from .network import ArcNetwork
from .recording import names_of, prepared_system
from .steps import STEPS, follow, in_use, proposed, seen
from .system import ArcTps, Look

Lesson = tuple[Map, Map, Map]
RATE, MERIT_RATE = 2e-3, 5e-4
CHECKED = (181, 182, 183, 184, 185)
"""Patients that choose the weights."""


def lessons_of(path: Path) -> list[Lesson]:
    """Each recorded state of each field with the way to the next one, whole and mirrored along both axes."""
    out: list[Lesson] = []
    with np.load(path) as file:
        for number in range(sum(name.startswith("window_") for name in file.files)):
            names = [f"{front}{kind}_{number}" for front in ("", "by_") for kind in ("left", "right", "mu")]
            kept = [file[name] for name in names]
            for state in range(len(file["merit"]) - 1):
                now, slope = (FieldPath(*(array[state] for array in part)) for part in (kept[:3], kept[3:]))
                target = FieldPath(*(array[state + 1] for array in kept[:3]))
                seen_map = features(now, slope, file[f"window_{number}"], float(file["merit"][state]))
                out.append((seen_map, *answer(now, target)))
    return out


def imitate(network: ArcNetwork, lessons: list[Lesson], epochs: int, seed: int) -> float:
    """Mean loss of the last epoch. Huber loss in units of the answer, so that few leaves that go far do not lead."""
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(lessons))
    random, last = np.random.default_rng(seed), 0.0
    for _ in range(epochs):
        losses = []
        for place in random.permutation(len(lessons)):
            maps, leaves, log_mu = (torch.from_numpy(array)[None] for array in lessons[int(place)])
            if random.random() < 0.5:
                maps, leaves = maps.flip(3), leaves.flip(3)
            said, said_mu = network(maps)
            loss = torch.nn.functional.huber_loss(said, leaves) + torch.nn.functional.huber_loss(said_mu, log_mu)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        last = float(np.mean(losses))
    return last


def answering(network: ArcNetwork) -> Any:
    def said(maps: Map) -> tuple[Map, Map]:
        with torch.no_grad():
            leaves, log_mu = network(torch.from_numpy(maps)[None])
        return leaves[0].numpy(), log_mu[0].numpy()

    return said


def pulled(network: ArcNetwork, tps: ArcTps, before: Look, after: Look) -> Tensor:
    """A value whose gradient in the weights is that of the logarithm of the merit after the step."""
    total = torch.zeros(())
    for number, (field, limits) in enumerate(zip(tps.fields, tps.limits, strict=True)):
        leaves, log_mu = network(torch.from_numpy(seen(before, number, field, limits))[None])
        leaves = leaves.clamp(-MOST_STEP_MM / STEP_MM, MOST_STEP_MM / STEP_MM)
        log_mu = log_mu.clamp(-MOST_LOG_MU, MOST_LOG_MU)
        slope = in_use(after.slopes[number], field)
        by_leaves = np.stack([slope.left_mm, slope.right_mm]) * (STEP_MM / after.merit)
        by_log_mu = slope.mu * after.paths[number].mu / after.merit
        total = total + (leaves[0] * torch.from_numpy(by_leaves.astype(np.float32))).sum()
        total = total + (log_mu[0] * torch.from_numpy(by_log_mu.astype(np.float32))).sum()
    return total


class School:
    """Training patients at the start of their arcs."""

    def __init__(self, systems: Iterable[ArcTps]) -> None:
        self.systems = tuple(systems)
        for tps in self.systems:
            tps.optimise_fluence(tps.initial_objectives())
            tps.begin()
        self._starts = [tps.leaves.paths for tps in self.systems]
        self._watches = [tps.watch(tps.initial_objectives()) for tps in self.systems]

    def looks(self, network: ArcNetwork, place: int) -> list[Look]:
        tps = self.systems[place]
        tps.leaves.paths = self._starts[place]
        return follow(tps, self._watches[place], answering(network))

    def gain(self, network: ArcNetwork) -> float:
        """Mean logarithm (base ten) of the best merit over the start's."""
        gains = []
        for place in range(len(self.systems)):
            merits = [look.merit for look in self.looks(network, place)]
            gains.append(np.log10(min(merits) / merits[0]))
        return float(np.mean(gains))

    def lesson(self, network: ArcNetwork, optimiser: torch.optim.Optimizer, place: int) -> float:
        """One walk, and a step of the weights after each of its steps; the merit where it ends."""
        tps, answer_of = self.systems[place], answering(network)
        tps.leaves.paths = self._starts[place]
        before = tps.look(self._watches[place])
        for _ in range(STEPS):
            tps.place(proposed(before, tps, answer_of))
            after = tps.look(self._watches[place])
            optimiser.zero_grad()
            pulled(network, tps, before, after).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            before = after
        return before.merit


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the machine-parameter policy.")
    parser.add_argument("recorded", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--imitate", type=int, default=60, help="epochs")
    parser.add_argument("--seconds", type=float, default=300.0, help="CPU seconds of training by the merit")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--check", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    run(parser.parse_args())


def run(asked: argparse.Namespace) -> None:
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    network, best = ArcNetwork(), np.inf

    def judged(**facts: Any) -> None:
        nonlocal best
        gain = checks.gain(network)
        line = {"cpu_s": round(time.process_time(), 1), "log10_merit_over_start": gain, **facts}
        say(json.dumps(line))
        with (asked.out / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if gain < best:
            best = gain
            torch.save(network.state_dict(), asked.out / "network.pt")
            (asked.out / "arc_policy.onnx").write_bytes(onnx_bytes(network))

    recorded = sorted(asked.recorded.glob("*.npz"))
    lessons = [lesson for path in recorded for lesson in lessons_of(path)]
    loss = imitate(network, lessons, asked.imitate, asked.seed)
    say(f"{len(recorded)} cases, {len(lessons)} states, loss {loss:.3f}, {time.process_time():.0f} CPU s")
    checked = [OPENKBP.format(number) for number in CHECKED[: asked.check]]
    checks = School(prepared_system(asked.cache, name) for name in checked)
    judged(stage="imitation", loss=loss)
    school = School(prepared_system(asked.cache, name) for name in names_of(asked.cache, asked.cases, asked.seed))
    optimiser, random = torch.optim.Adam(network.parameters(), MERIT_RATE), np.random.default_rng(asked.seed)
    begun, rounds = time.process_time(), 0
    while time.process_time() - begun < asked.seconds:
        ends = [school.lesson(network, optimiser, int(p)) for p in random.permutation(len(school.systems))]
        rounds += 1
        judged(stage="merit", round=rounds, train=float(np.mean(np.log10(ends))))


if __name__ == "__main__":
    main()
