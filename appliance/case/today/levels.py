"""Action levels of a registration: from which figure a person has to look, and from which the case stops."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.contracts.anatomy import Measure, Verdict
from engines.registration import RegistrationQuality


@dataclass(frozen=True)
class Level:
    """source: where both values come from, or why they were chosen."""

    title: str
    unit: str
    look_at: float | None
    stop_at: float | None
    is_low_bad: bool
    source: str

    def measured(self, key: str, value: float, structure: str = "") -> Measure:
        """A value that could not be found (NaN) asks for a look."""
        return Measure(
            key,
            self.title,
            value,
            self.unit,
            self._verdict(value),
            self.look_at,
            self.stop_at,
            self.is_low_bad,
            structure,
        )

    def _verdict(self, value: float) -> Verdict:
        if math.isnan(value):
            return Verdict.LOOK
        if self._passed(value, self.stop_at):
            return Verdict.STOP
        return Verdict.LOOK if self._passed(value, self.look_at) else Verdict.WITHIN

    def _passed(self, value: float, level: float | None) -> bool:
        if level is None:
            return False
        return value <= level if self.is_low_bad else value >= level


LEVELS: dict[str, Level] = {
    "registration.folded": Level("Folded voxels", "", 1, 1, False, "AAPM TG-132"),
    "registration.jacobian": Level("Least Jacobian", "", 0.4, 0.0, True, "AAPM TG-132: above 0"),
    "registration.inverse": Level("Inverse inconsistency, 95 %", "mm", 6.0, 12.0, False, "chosen"),
    "registration.similarity": Level("Correlation of both images", "", 0.9, 0.8, True, "chosen"),
    "registration.organ-similarity": Level("Correlation within a structure", "", 0.6, None, True, "chosen"),
    "registration.surface": Level("Distance of the outlines, 95 %", "mm", 5.0, 15.0, False, "chosen"),
    "registration.moved": Level("Largest motion beyond set-up", "mm", 25.0, 40.0, False, "chosen"),
    "registration.reached": Level("Part of the body that the reference reaches", "", 0.8, 0.5, True, "chosen"),
}


def measures(quality: RegistrationQuality) -> Iterator[Measure]:
    values = {
        "registration.folded": float(quality.folded),
        "registration.jacobian": quality.least_jacobian,
        "registration.inverse": quality.inverse_95_mm,
        "registration.similarity": quality.body.after,
        "registration.surface": quality.surface_95_mm,
        "registration.moved": quality.moved_most_mm,
        "registration.reached": quality.reached,
    }
    for key, value in values.items():
        yield LEVELS[key].measured(key, value)
    for name, likeness in quality.organs.items():
        key = "registration.organ-similarity"
        yield LEVELS[key].measured(key, likeness.after, name)
