"""Which fact stands in which channel of a dose network's input, and which beams its quick plans have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engines.dose_features.errors import AnatomyError

PLANS = 3
"""Quick plans of a patient: three trade-offs between targets and organs (quick_plans.h)."""


@dataclass(frozen=True)
class Layout:
    """A site's organs, dose levels and beams. The default is that of OpenKBP (Babier et al., Med Phys 48:5549, 2021).

    organs: TG-263 names in the order of their channels. levels: doses of target channels relative to the highest
    prescription, falling, the first 1. gantry_deg: coplanar beams of the quick plans, IEC 61217. by_mean, by_maximum:
    organs that quick plans spare by squared dose, and above 3/7 of the highest prescription (30 of 70 Gy).
    Raises AnatomyError `layout`."""

    organs: tuple[str, ...] = (
        "Brainstem", "SpinalCord", "Parotid_R", "Parotid_L", "Esophagus", "Larynx", "Bone_Mandible",
    )  # fmt: skip
    levels: tuple[float, ...] = (1.0, 0.9, 0.8)
    gantry_deg: tuple[float, ...] = tuple(40.0 * n for n in range(9))
    by_mean: tuple[str, ...] = ("Parotid_R", "Parotid_L", "Esophagus", "Larynx")
    by_maximum: tuple[str, ...] = ("Brainstem", "SpinalCord")

    def __post_init__(self) -> None:
        if len(set(self.organs)) != len(self.organs):
            raise AnatomyError("layout", f"an organ stands twice in the layout: {', '.join(self.organs)}")
        falling = all(a > b for a, b in zip(self.levels, self.levels[1:], strict=False))
        if len(self.levels) != 3 or self.levels[0] != 1.0 or not falling or not self.levels[-1] > 0:
            raise AnatomyError("layout", f"three falling target levels from 1 are needed, not {self.levels}")
        if not 0 < len(self.gantry_deg) <= 64 or not all(math.isfinite(angle) for angle in self.gantry_deg):
            raise AnatomyError("layout", f"between 1 and 64 gantry angles are needed, not {self.gantry_deg}")
        unknown = set(self.by_mean + self.by_maximum) - set(self.organs)
        if unknown:
            raise AnatomyError("layout", f"organs to be spared that the layout does not name: {', '.join(unknown)}")

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels. The last, "other", is the union of organs that the layout does not name."""
        percent = [f"{100 * level:g}" for level in self.levels]
        return (
            "possible", *self.organs, *(f"target_{p}" for p in reversed(percent)), "ct", "has_ct", "prescribed",
            *(f"distance_{p}" for p in percent), f"inside_{percent[-1]}", *(f"open_{p}" for p in percent), "beams_seen",
            *(f"plan_{n}" for n in range(PLANS)), "largest_beam", "spacing", "other",
        )  # fmt: skip

    def mirror_order(self) -> tuple[int, ...]:
        """Channel k of the mirrored patient is channel order[k], its last axis reversed: organs called _R and _L change
        places. It holds where the mirrored gantry angles are the same set (they are by default)."""
        names = self.channels
        other = {"_R": "_L", "_L": "_R"}
        swapped = [name[:-2] + other[name[-2:]] if name[-2:] in other else name for name in names]
        return tuple(names.index(name) if name in names else n for n, name in enumerate(swapped))
