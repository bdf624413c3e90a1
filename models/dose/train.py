"""Trains the network on a GPU, within a number of seconds.

    python -m models.dose.train ARCHIVE OUT --seconds N [--resume FILE] [--shape 96,112,128,128/2,2,1,1/3,1,1]

OUT gets, once a minute: metrics.json (the learning curve), and the running mean of the weights in half precision
(weights.pt); STATE (--state FILE) the whole state, from which --resume goes on exactly. With --onnx the last
network is written as dose.onnx too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .augment import Case
from .cache import cached, label_of
from .console import say
from .data import load_archive
from .export import network_of, shape_of, write_onnx
from .features import DOSE_UNIT_GY
from .network import Shape
from .pack import fluence_of
from .predict import Judged, Predictor, judge, summary
from .training import Plan, Training

FIRST_VALIDATION = 201
"""Patients from this number on are the challenge's validation set: never trained on."""
VALIDATION_CANVAS = (128, 112, 128)
"""Holds every patient: on a GPU one size is prepared once. A CPU takes each patient as it is."""


def number(name: str) -> int:
    return int(name.removeprefix("pt_"))


def load(archive: Path, device: torch.device, workers: int) -> tuple[list[Judged], list[Judged]]:
    """(training, validation) patients with a dose, on the device in float16."""
    training: list[Judged] = []
    validation: list[Judged] = []
    for patient, extra in load_archive(archive, workers):
        made = Judged.of(patient, device, fluence_of(extra))
        half = replace(made, features=made.features.half(), dose=made.dose.half())
        (validation if number(patient.name) >= FIRST_VALIDATION else training).append(half)
    return training, validation


def load_cached(folder: Path, every: int) -> tuple[list[Judged], list[Judged]]:
    """As load, from a folder of cache.py; every so-many-th patient of validation (0: none)."""
    training = [one for one in cached(folder) if number(one.name) < FIRST_VALIDATION]
    validation = [one for one in cached(folder) if number(one.name) >= FIRST_VALIDATION]
    chosen = validation[::every] if every else []
    return training, [replace(one, label=label_of(one.features)) for one in chosen]


def predictor_of(training: Training) -> Predictor:
    half = training.plan.bfloat16 or training.device.type == "cuda"

    def run(features: Tensor) -> Tensor:
        with torch.autocast(training.device.type, torch.bfloat16, enabled=half):
            result: Tensor = training.network(training.laid_out(features))
        return result

    return run


class Recorder:
    """Validates the running mean of weights and writes what must not be lost."""

    def __init__(self, out: Path, state: Path | None, validation: Sequence[Judged], card: dict[str, Any]) -> None:
        self.out, self.state, self.validation = out, state, validation
        self.document: dict[str, Any] = {**card, "curve": []}
        self.began = time.monotonic()
        out.mkdir(parents=True, exist_ok=True)

    def go_on(self, step: int) -> None:
        """Keeps what an earlier run into the same folder told up to this step."""
        told = self.out / "metrics.json"
        if told.is_file():
            known = json.loads(told.read_text("utf-8"))["curve"]
            self.document["curve"] = [entry for entry in known if entry["step"] <= step]

    def __call__(self, training: Training) -> None:
        start = time.monotonic()
        training.mean.swap(training.network)
        training.network.eval()
        with torch.no_grad():
            canvas = VALIDATION_CANVAS if training.device.type == "cuda" else None
            scores = {}
            if self.validation:
                scores = summary(judge(predictor_of(training), self.validation, canvas), self.validation)
            weights = {name: w.half() for name, w in training.network.state_dict().items()}
        part = self.out / "weights.part"
        torch.save({"weights": weights, "shape": asdict(training.plan.shape), "step": training.step}, part)
        part.replace(self.out / "weights.pt")
        training.network.train()
        training.mean.swap(training.network)
        entry = {
            "step": training.step, "seconds": round(training.elapsed, 1), "spent": round(training.spent, 4),
            "training_loss_gy": round(training.recent_loss(), 4),
            **{name: round(value, 4) for name, value in scores.items()},
            "validation_seconds": round(time.monotonic() - start, 2),
        }  # fmt: skip
        self.document["curve"].append(entry)
        (self.out / "metrics.json").write_text(json.dumps(self.document, indent=1) + "\n", "utf-8")
        say(f"{time.monotonic() - self.began:6.1f} s {json.dumps(entry)}")
        if self.state:
            training.save(self.state)


def parse_shape(text: str) -> Shape:
    channels, down, up, *head = text.split("/")
    sizes = [tuple(int(n) for n in part.split(",")) for part in (channels, down, up)]
    return Shape(sizes[0], sizes[1], sizes[2], int(head[0]) if head else Shape.head)


def parse_sides(text: str) -> tuple[int, int, int]:
    a, b, c = (int(n) for n in text.split(","))
    return a, b, c


def plan_of(asked: argparse.Namespace) -> Plan:
    shape = shape_of(asked.start) if asked.start else replace(asked.shape, spread=asked.spread)
    return Plan(
        seconds=asked.seconds, steps=asked.steps, batch=asked.batch, rate=asked.rate, muon=not asked.adam,
        shape=shape, canvas=asked.canvas, turned_canvas=asked.turned_canvas, dropout=asked.dropout,
        decay=asked.decay, organs_kept=asked.organs_kept, turned_share=asked.turned_share,
        turned_until=asked.turned_until, dvh_from=asked.dvh_from, dvh_weight=asked.dvh_weight,
        coarse_until=asked.coarse_until,
        bfloat16=asked.bfloat16, seed=asked.seed, zoom=asked.zoom,
        teacher_weight=asked.teacher_weight if asked.teachers else 0.0,
    )  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains the dose network within a number of seconds.")
    parser.add_argument("archive", type=Path, help="of pack.py, or a folder of cache.py")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=Plan.seconds)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between validations")
    parser.add_argument("--batch", type=int, default=Plan.batch)
    parser.add_argument("--rate", type=float, default=Plan.rate)
    parser.add_argument("--adam", action="store_true", help="AdamW for convolutions too")
    parser.add_argument("--shape", type=parse_shape, default=Shape())
    parser.add_argument("--canvas", type=parse_sides, default=Plan.canvas)
    parser.add_argument("--turned-canvas", type=parse_sides, default=Plan.turned_canvas)
    parser.add_argument("--start", type=Path, help="weights to begin with, and their shape")
    parser.add_argument("--teachers", type=Path, nargs="*", default=[], help="weights of networks to learn from")
    parser.add_argument("--teacher-weight", type=float, default=0.5, help="of their dose, beside the truth's 1")
    parser.add_argument("--zoom", type=float, default=Plan.zoom, help="how far from 1 a turned patient's size may be")
    parser.add_argument("--dropout", type=float, default=Plan.dropout)
    parser.add_argument("--decay", type=float, default=Plan.decay)
    parser.add_argument("--organs-kept", type=float, default=Plan.organs_kept)
    parser.add_argument("--turned-share", type=float, default=Plan.turned_share)
    parser.add_argument("--turned-until", type=float, default=Plan.turned_until)
    parser.add_argument("--dvh-from", type=float, default=Plan.dvh_from)
    parser.add_argument("--dvh-weight", type=float, default=Plan.dvh_weight)
    parser.add_argument("--coarse-until", type=float, default=Plan.coarse_until)
    parser.add_argument("--spread", action="store_true", help="learn the spread too")
    parser.add_argument("--bfloat16", action="store_true", help="compute in bfloat16 on a processor too")
    parser.add_argument("--validate-every", type=int, default=1, help="of a cached folder: each n-th patient, 0: none")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--benchmark", action="store_true", help="let cuDNN time its algorithms")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    torch.backends.cudnn.benchmark = asked.benchmark
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device(asked.device)
    start = time.monotonic()
    if asked.archive.is_dir():
        training_set, validation = load_cached(asked.archive, asked.validate_every)
    else:
        training_set, validation = load(asked.archive, device, asked.workers)
    say(f"{len(training_set)} + {len(validation)} patients in {time.monotonic() - start:.1f} s")
    plan = plan_of(asked)
    cases = [Case(p.features, p.dose[None]) for p in training_set]
    volumes = [p.spacing_mm[0] * p.spacing_mm[1] * p.spacing_mm[2] for p in training_set]
    training = Training(plan, cases, volumes, device, [network_of(file) for file in asked.teachers])
    if asked.start:
        training.start_from(torch.load(asked.start, map_location=device, weights_only=True)["weights"])
    if asked.resume:
        training.load(asked.resume)
    card = {
        "plan": asdict(plan), "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "parameters": sum(w.numel() for w in training.network.parameters()), "dose_unit_gy": DOSE_UNIT_GY,
        "training_patients": len(training_set), "validation_patients": len(validation),
    }  # fmt: skip
    say(json.dumps(card))
    recorder = Recorder(asked.out, asked.state, validation, card)
    if asked.resume:
        recorder.go_on(training.step)
    training.run(asked.every, recorder)
    if not asked.onnx:
        return
    training.mean.swap(training.network)
    write_onnx(training.network, asked.out / "dose.onnx")


if __name__ == "__main__":
    main()
