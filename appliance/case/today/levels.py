"""Action levels of a registration: from which figure a person has to look, and from which the case stops.

TG-132 is Brock et al., "Use of image registration and fusion algorithms and techniques in radiotherapy", Med Phys
44:e43 (2017), doi 10.1002/mp.12256. What it has no figure for was chosen on simulated days of OpenKBP patients with
known truth, on half of them; what the levels catch and miss on the other half stands in docs/registration.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from appliance.contracts.anatomy import Measure, Verdict
from engines.registration import RegistrationQuality


@dataclass(frozen=True)
class Level:
    """scale: of the value before it is told. source: where both levels come from, or why they were chosen."""

    title: str
    unit: str
    look_at: float | None
    stop_at: float | None
    source: str
    is_low_bad: bool = False
    scale: float = 1.0

    def measured(self, key: str, value: float, structure: str = "") -> Measure:
        """A value that could not be found (NaN) is told as none and asks for a look."""
        told = None if math.isnan(value) else value * self.scale
        return Measure(
            key=key,
            title=self.title,
            value=told,
            unit=self.unit,
            verdict=Verdict.LOOK if told is None else self._verdict(told),
            look_at=self.look_at,
            stop_at=self.stop_at,
            is_low_bad=self.is_low_bad,
            structure=structure,
        )

    def _verdict(self, value: float) -> Verdict:
        if self._passed(value, self.stop_at):
            return Verdict.STOP
        return Verdict.LOOK if self._passed(value, self.look_at) else Verdict.WITHIN

    def _passed(self, value: float, level: float | None) -> bool:
        if level is None:
            return False
        return value <= level if self.is_low_bad else value >= level


TARGET_KEY, ORGAN_KEY = "registration.target-similarity", "registration.organ-similarity"
TARGETS = ("GTV", "CTV", "ITV", "PTV")
"""How names of targets begin (AAPM TG-263)."""

_GOOD = "good days of the half that levels were chosen on"

LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "registration.folded": Level(
            "Folded voxels", "", 1, 1, "TG-132, table V: no negative Jacobian; ours cannot fold, a received field can"
        ),
        "registration.jacobian": Level(
            "Least Jacobian",
            "",
            0.4,
            0.0,
            f"TG-132, table V: above 0. Look: chosen, {_GOOD} have 0.6 and more",
            is_low_bad=True,
        ),
        "registration.inverse": Level(
            "Inverse inconsistency, median", "mm", 3.0, None, "TG-132, table V: 2 to 3 mm, a voxel: of our field"
        ),
        "registration.inverse-95": Level(
            "Inverse inconsistency, 95 %", "mm", 5.0, 10.0, f"chosen: {_GOOD} have under 4; twice for a stop"
        ),
        "registration.similarity": Level(
            "Correlation of both images",
            "",
            0.95,
            0.90,
            f"chosen: {_GOOD} have 0.96 and more, other patients 0.88 and less",
            is_low_bad=True,
        ),
        TARGET_KEY: Level(
            "Correlation within a target",
            "",
            0.85,
            0.6,
            f"chosen: {_GOOD} have 0.88 and more, other patients 0.86 and less",
            is_low_bad=True,
        ),
        ORGAN_KEY: Level(
            "Correlation within an organ",
            "",
            0.2,
            None,
            f"chosen: cord and brainstem have little contrast, {_GOOD} 0.22 and more there",
            is_low_bad=True,
        ),
        "registration.surface": Level(
            "Distance of the outlines, 95 %",
            "mm",
            4.5,
            10.0,
            f"chosen: {_GOOD} have 3 mm (one 6), other patients 10.8 and more",
        ),
        "registration.overlap": Level(
            "Dice of both bodies",
            "",
            0.95,
            0.90,
            f"TG-132, table V: 0.8 to 0.9 for structures; a body is large, and {_GOOD} have 0.97",
            is_low_bad=True,
        ),
        "registration.bending": Level(
            "Bending of the field",
            "1/m²",
            1000.0,
            2000.0,
            f"chosen: {_GOOD} have 600, other patients 2200 and more (on voxels of 3 mm)",
            scale=1e6,
        ),
        "registration.moved": Level(
            "Largest motion beyond set-up", "mm", 20.0, 35.0, f"chosen: {_GOOD} have 15 mm and less"
        ),
        "registration.reached": Level(
            "Part of the body that the reference reaches",
            "",
            0.8,
            0.5,
            "chosen: beyond it nothing is known",
            is_low_bad=True,
        ),
    }
)


def measures(quality: RegistrationQuality) -> Iterator[Measure]:
    """In the order of LEVELS, structures one by one. Inverse consistency is told only where a backward registration was
    made, and an organ's correlation only where there is enough of it to compare."""
    values = {
        "registration.folded": float(quality.folded),
        "registration.jacobian": quality.least_jacobian,
        "registration.inverse": quality.inverse_median_mm,
        "registration.inverse-95": quality.inverse_95_mm,
        "registration.similarity": quality.body.after,
        "registration.surface": quality.surface_95_mm,
        "registration.overlap": quality.overlap,
        "registration.bending": quality.bending_per_mm2,
        "registration.moved": quality.moved_most_mm,
        "registration.reached": quality.reached,
    }
    if math.isnan(quality.inverse_median_mm):
        del values["registration.inverse"], values["registration.inverse-95"]
    for key, level in LEVELS.items():
        if key in values:
            yield level.measured(key, values[key])
        if key in (TARGET_KEY, ORGAN_KEY):
            for name, likeness in quality.organs.items():
                is_told = key == TARGET_KEY or not math.isnan(likeness.after)
                if is_told and name.startswith(TARGETS) is (key == TARGET_KEY):
                    yield level.measured(key, likeness.after, name)
