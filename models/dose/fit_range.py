"""What is usual among the training patients, written without any of them: quantiles and one correlation matrix.

    python -m models.dose.fit_range ../shared/openkbp models/dose/range.json

Fitted on the training patients except the three whose contours the data folder calls broken (they are what is to be
caught). Limits come from the fitted patients alone, each judged by the others; validation patients are only counted.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.prediction.facts import AnatomyFacts
from appliance.prediction.range import judge_range
from appliance.prediction.range_finding import Severity
from appliance.prediction.range_model import FORMAT, range_model
from appliance.prediction.range_words import words
from engines.statistics.typical import beyond, distance, fact_quantiles, fit_typical

from .console import say
from .data import PRESCRIBED_GY, patient_files
from .packed_facts import FRACTIONS, GANTRY_DEG, ORGANS, facts_of

STRESS = {
    "pt_51": "broken contours", "pt_215": "broken contours", "pt_216": "broken contours",
    "pt_103": "external includes air", "pt_151": "external includes air", "pt_208": "external includes air",
}  # fmt: skip
"""Said by the README of the data folder."""
LEAST = {"surface_share": 0.05, "share": 0.02, "hu": 5.0, "mm": 4.0, "log": 0.1, "raggedness": 0.1}
"""Differences that are never counted as more than one unit: a share of 0.02, a voxel of 4 mm, 10 % of a size
(chosen: what a contour redrawn by another hand changes); at the surface 0.05, because the product cuts air off there
and the masks of the training do not."""
FALSE_ALONE, FALSE_GROUP = 0.04, 0.02
"""Share of fitted patients that may be warned of for one number, and for each group together (chosen: 10 % in all at
most)."""
REFUSE_TIMES = {"alone": 1.25, "organs": 1.25, "outline": 1.25, "ct": 3.0}
"""Refused beyond this many times the most extreme fitted patient. Chosen: none of them would be; the CT has a wider
margin because a wrong external contour spoils the CT's statistics long before it spoils the dose."""
FEWEST_TOGETHER = 100
"""Facts known of fewer patients are not part of a distance (chosen: half of the patients)."""


@dataclass(frozen=True, eq=False)
class Table:
    """values (patients, facts) as they are compared, with what belongs to each fact."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    log: tuple[bool, ...]
    least: NDArray[np.float64]
    groups: dict[str, NDArray[np.int64]]

    @staticmethod
    def of(patients: list[AnatomyFacts]) -> Table:
        every = sorted({name for facts in patients for name in facts.values})
        raw = np.array([[facts.values.get(name, math.nan) for name in every] for facts in patients])
        kept = np.isfinite(raw).sum(0) >= len(patients) // 4
        names = tuple(name for name, keep in zip(every, kept, strict=True) if keep)
        log = tuple(name.endswith("_cc") or "length" in name for name in names)
        values = np.where(log, np.log(np.maximum(raw[:, kept], 1e-9)), raw[:, kept])
        least = np.array([_least(name, logged) for name, logged in zip(names, log, strict=True)])
        known = np.isfinite(values).sum(0) >= FEWEST_TOGETHER
        of_group = [_group(name) if known[n] else "" for n, name in enumerate(names)]
        groups = {group: np.flatnonzero([g == group for g in of_group]) for group in ("organs", "outline", "ct")}
        return Table(names, values, log, least, groups)

    def limits(self) -> dict[str, Any]:
        """Warn and refuse, alone and by group, from what each patient scores among all the others."""
        contour = [words(name).contour for name in self.names]
        scores: dict[str, list[float]] = {name: [] for name in ("alone", "contour", *self.groups)}
        for row, own in enumerate(self.values):
            others = np.delete(self.values, row, axis=0)
            off = beyond(fact_quantiles(others), self.least, own)
            scores["alone"].append(float(np.nanmax(off)))
            scores["contour"].append(float(np.nanmax(off[contour])))
            for name, at in self.groups.items():
                scores[name].append(distance(fit_typical(others[:, at], self.least[at]), own[at])[0])
        told: dict[str, Any] = {
            "warn_beyond": round(float(np.quantile(scores["alone"], 1 - FALSE_ALONE)), 3),
            "refuse_beyond": round(REFUSE_TIMES["alone"] * max(scores["contour"]), 3),
        }
        for name in self.groups:
            warn = float(np.quantile(scores[name], 1 - FALSE_GROUP))
            told[name] = {"warn": round(warn, 3), "refuse": round(REFUSE_TIMES[name] * max(scores[name]), 3)}
        return told


def _least(name: str, log: bool) -> float:
    return LEAST["log"] if log else next(value for end, value in LEAST.items() if name.endswith(end))


def _group(name: str) -> str:
    """Which facts are judged together. Places of the whole, and how ragged it is, belong to the outline."""
    if name.startswith("ct."):
        return "ct"
    if name.startswith(("body.", "targets.")):
        return "outline"
    return "" if name.endswith(("share", "raggedness")) else "organs"


def fitted(patients: list[AnatomyFacts]) -> dict[str, Any]:
    """The content of range.json."""
    table = Table.of(patients)
    quantiles, limits = fact_quantiles(table.values), table.limits()
    count = [sum(facts.organs[organ] for organ in ORGANS) for facts in patients]
    sides = np.array([facts.spacing_mm for facts in patients])
    return {
        "format": FORMAT, "patients": len(patients),
        "presence": {organ: round(float(np.mean([f.organs[organ] for f in patients])), 3) for organ in ORGANS},
        "fewest_organs": min(n for n in count if n), "prescribed_gy": sorted(PRESCRIBED_GY, reverse=True),
        "fractions": FRACTIONS, "gantry_deg": GANTRY_DEG,
        "spacing_mm": [[round(float(s.min()), 3), round(float(s.max()), 3)] for s in sides.T],
        "warn_beyond": limits["warn_beyond"], "refuse_beyond": limits["refuse_beyond"],
        "facts": {
            name: {
                "log": table.log[n], "least": float(table.least[n]),
                "cases": int(np.isfinite(table.values[:, n]).sum()),
                "quantiles": [float(f"{q:.5g}") for q in quantiles[n]],
            }
            for n, name in enumerate(table.names)
        },
        "groups": {
            name: {
                "facts": [table.names[n] for n in at],
                "correlation": np.round(fit_typical(table.values[:, at], table.least[at]).correlation, 4).tolist(),
            } | limits[name]
            for name, at in table.groups.items()
        },
    }  # fmt: skip


def judged(told: dict[str, Any], patients: dict[str, AnatomyFacts]) -> dict[str, list[str]]:
    """Codes by patient, of what refuses or warns."""
    model = range_model(told)
    return {
        name: [f"{f.severity}:{f.code}" for f in judge_range(facts, model) if f.severity is not Severity.NOTE]
        for name, facts in patients.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Fits the ranges of what the dose network was trained on.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    every = {
        part: {path.stem: facts for path in patient_files(asked.data / part) if (facts := facts_of(path))}
        for part in ("train", "valid")
    }
    told = fitted([facts for name, facts in every["train"].items() if name not in STRESS])
    told["measured"] = {}
    for part, patients in every.items():
        for kind, chosen in (("stress", True), ("others", False)):
            codes = judged(told, {n: f for n, f in patients.items() if (n in STRESS) is chosen})
            told["measured"][f"{part}_{kind}"] = counted = {
                "patients": len(codes), "flagged": sum(bool(c) for c in codes.values()),
                "refused": sum(any(code.startswith("refuse") for code in c) for c in codes.values()),
            }  # fmt: skip
            say(f"{part} {kind}: {counted}")
            if part == "valid" or chosen:
                say("\n".join(f"  {name}: {', '.join(found)}" for name, found in codes.items() if found))
    asked.out.write_text(_rows(told), "utf-8")


def _rows(told: dict[str, Any]) -> str:
    """JSON with one line for each list of numbers and each fact."""
    text = json.dumps(told, indent=1)
    inner = re.compile(r"[\[{][^\[\]{}]*[\]}]")
    text = inner.sub(lambda found: re.sub(r"\s*\n\s*", " ", found.group()), text)
    return text + "\n"


if __name__ == "__main__":
    main()
