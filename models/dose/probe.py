"""What a GPU makes of the network before a run is paid for: milliseconds a step of several shapes, then short runs
of several optimisers and rates, each with its schedule complete.

    python -m models.dose.probe ARCHIVE [--seconds N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from .augment import Case
from .console import say
from .network import Shape
from .predict import Judged, judge, summary
from .train import VALIDATION_CANVAS, load, predictor_of
from .training import Plan, Training

SHAPES = {
    "96": Shape(),
    "128": Shape((128, 128, 128, 128), (1, 1, 1, 1), (2, 1, 1)),
    "64": Shape((64, 128, 128, 128), (3, 2, 1, 1), (3, 1, 1)),
}
RATES = ((True, 2e-3), (True, 5e-3), (False, 1e-3))
STEPS = 8


def step_ms(training: Training, plan: Plan) -> float:
    """Median of STEPS steps after two that prepare."""
    training.plan, taken = plan, []
    for _ in range(STEPS + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        training.one_step()
        torch.cuda.synchronize()
        taken.append(1e3 * (time.perf_counter() - start))
    say(f"    first step {taken[0]:.0f} ms")
    return sorted(taken[2:])[STEPS // 2]


def speeds(cases: Sequence[Case], volumes: Sequence[float], device: torch.device, plan: Plan) -> None:
    for benchmark in (False, True):
        torch.backends.cudnn.benchmark = benchmark
        for name, shape in SHAPES.items():
            if benchmark and name == "64":
                continue
            training = Training(replace(plan, shape=shape, dvh_from=2.0, turned_share=0.0), cases, volumes, device)
            told = {"as they lie": step_ms(training, training.plan)}
            told["turned"] = step_ms(training, replace(training.plan, turned_share=2.0, turned_until=2.0))
            told["with DVH"] = step_ms(training, replace(training.plan, dvh_from=0.0, turned_share=0.0))
            say(f"  {name} benchmark={benchmark} " + ", ".join(f"{k} {v:.1f} ms" for k, v in told.items()))


def profile(cases: Sequence[Case], volumes: Sequence[float], device: torch.device, plan: Plan) -> None:
    """Where the time of two steps goes."""
    training = Training(replace(plan, turned_share=0.0), cases, volumes, device)
    training.one_step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
        training.one_step()
        training.one_step()
        torch.cuda.synchronize()
    rows = sorted(found.key_averages(), key=lambda row: -row.device_time_total)
    total = sum(row.device_time_total for row in rows)
    say(f"  {total / 2e3:.0f} ms of kernels a step")
    for row in rows[:14]:
        say(f"    {row.device_time_total / 2e3:7.1f} ms {row.count // 2:5d} times  {row.key[:90]}")


def short_runs(
    cases: Sequence[Case], volumes: Sequence[float], validation: Sequence[Judged], device: torch.device, plan: Plan
) -> None:
    for muon, rate in RATES:
        training = Training(replace(plan, muon=muon, rate=rate, mean_decay=0.9), cases, volumes, device)
        training.run(1e9, lambda _: None)
        start = time.perf_counter()
        training.mean.swap(training.network)
        scores = summary(judge(predictor_of(training), validation, VALIDATION_CANVAS), validation)
        name, steps, loss = f"{'Muon' if muon else 'AdamW'} {rate}", training.step, training.recent_loss()
        shown = {key: round(value, 3) for key, value in scores.items()}
        say(f"  {name}: {steps} steps, loss {loss:.2f}, {shown}, judged in {time.perf_counter() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speeds and short runs on this GPU.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--seconds", type=float, default=9.0)
    asked = parser.parse_args()
    device, start = torch.device("cuda"), time.monotonic()
    training_set, validation = load(asked.archive, device, 16)
    say(f"  {len(training_set)} + {len(validation)} patients in {time.monotonic() - start:.1f} s")
    cases = [Case(p.features, p.dose[None]) for p in training_set]
    volumes = [p.spacing_mm[0] * p.spacing_mm[1] * p.spacing_mm[2] for p in training_set]
    plan = Plan(seconds=asked.seconds)
    torch.backends.cudnn.benchmark = False
    speeds(cases, volumes, device, plan)
    try:
        profile(cases, volumes, device, plan)
    except (AttributeError, RuntimeError) as error:
        say(f"  no profile: {error}")
    torch.backends.cudnn.benchmark = False
    short_runs(cases, volumes, validation, device, plan)
    say(f"  {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most")


if __name__ == "__main__":
    main()
