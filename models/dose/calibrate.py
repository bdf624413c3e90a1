"""Calibrates a dose network's uncertainty on validation patients and measures what its intervals really cover.

    python -m models.dose.calibrate ../shared/openkbp/valid models/dose/dose.onnx models/dose/calibration.json
        [--cache FOLDER] [--archive FILE] [--plot FILE.svg] [--without pt_215 pt_216 ...]

The file holds factors and coverage, nothing of a patient. --cache keeps the network's passes (patient data: outside the
repository), so that only the first call takes long. Coverage is by leaving folds out: each patient is judged by factors
that were fitted to others; the factors that are written are then fitted to all.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import torch

from engines.dose_interval import FORMAT, LEVELS

from .calibration_fit import Factors, Known, fit, held_out_coverage
from .calibration_plot import coverage_svg
from .console import say
from .members import digest, members


def part_of(patients: list[Known]) -> dict[str, Any]:
    """Factors fitted to all patients, and coverage with each of them left out in its turn."""
    factors: Factors = fit(patients)
    return {
        "regions": {
            name: {"centres": _rounded(table.centres), "factors": [_rounded(row) for row in table.factors]}
            for name, table in factors.regions.items()
        },
        "metrics": {kind: {n: _rounded(f) for n, f in found.items()} for kind, found in factors.metrics.items()},
        "coverage": held_out_coverage(patients),
    }


def _rounded(values: Any) -> list[float]:
    return [float(f"{float(value):.5g}") for value in values]


def table(coverage: dict[str, Any]) -> str:
    """Markdown, one row for everything that was covered."""
    rows = ["| | cases | 80 % | 95 % | half-widths, Gy |", "|---|---|---|---|---|"]
    for name, found in coverage.items():
        shares = " | ".join(f"{100 * share:.0f}" for share in found["covered"])
        wide = ", ".join(f"{half:.2f}" for half in found["half_width_gy"])
        rows.append(f"| {name} | {found['cases']} | {shares} | {wide} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibrates a dose network's uncertainty on validation patients.")
    parser.add_argument("patients", type=Path)
    parser.add_argument("network", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, help="folder where the network's passes are kept")
    parser.add_argument("--archive", type=Path, help="of pack.py, for its quick plans")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--without", nargs="*", default=[], help="patients left out, by name")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    start = time.process_time()
    known: dict[str, list[Known]] = {"pair": [], "plain": []}
    spread = False
    for patient in members(asked.patients, asked.network, asked.cache, archive=asked.archive, threads=asked.threads):
        if patient.name not in asked.without:
            spread = patient.spreads is not None
            known["pair"].append(Known.of(patient, plain=False))
            known["plain"].append(Known.of(patient, plain=True))
    told: dict[str, Any] = {
        "format": FORMAT, "network_sha256": digest(asked.network), "patients": len(known["pair"]), "spread": spread,
        "levels": LEVELS, "left_out": asked.without, "passes": {name: part_of(found) for name, found in known.items()},
    }  # fmt: skip
    asked.out.write_text(_compact(told), "utf-8")
    for name, part in told["passes"].items():
        say(f"{name}, {len(known[name])} patients\n{table(part['coverage'])}\n")
    if asked.plot:
        asked.plot.write_text(coverage_svg(told["passes"]["pair"]["coverage"], LEVELS), "utf-8")
    say(f"{time.process_time() - start:.0f} CPU s")


def _compact(told: dict[str, Any]) -> str:
    inner = re.compile(r"[\[{][^\[\]{}]*[\]}]")
    return inner.sub(lambda found: re.sub(r"\s*\n\s*", " ", found.group()), json.dumps(told, indent=1)) + "\n"


if __name__ == "__main__":
    main()
