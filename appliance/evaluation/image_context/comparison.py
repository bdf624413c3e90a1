"""What a network's file states of its organs beside contours carried from the reference, on the same days.

A network draws an organ of today in the place of propagation only where it was shown to draw it better: on images of
both kinds that it can be given. Who measured that, and how, is bench/segmented_or_propagated.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from appliance.evaluation.tables import Table

Kind = Literal["CT", "CBCT"]
IMAGES: tuple[Kind, ...] = ("CT", "CBCT")
"""Kinds of image that a network for CT is given: a cone-beam CT brought to Hounsfield units too."""
FEWEST_DAYS = 10
"""Patients of a comparison below which it shows nothing (chosen: bootstrap intervals of fewer are too narrow)."""
Interval = tuple[float, float]


class Comparison(Table):
    """One organ (TG-263 name) on one kind of image; days: of one patient each, with known truth. dice_gain: Dice of the
    network less that of propagation; distance_added_mm: its 95 % surface distance less the other's; both the ends of
    the 95 % interval of the mean."""

    organ: str = Field(min_length=1)
    image: Kind
    days: int = Field(ge=1)
    dice_gain: Interval
    distance_added_mm: Interval

    @model_validator(mode="after")
    def _in_order(self) -> Comparison:
        for name, (low, high) in (("dice_gain", self.dice_gain), ("distance_added_mm", self.distance_added_mm)):
            if low > high:
                raise ValueError(f"{name} must be [low, high]")
        return self


def why_propagated(organ: str, comparisons: Sequence[Comparison]) -> str:
    """Why a network is not to draw an organ; '' where it was shown to beat propagation: on both kinds of image the
    whole interval of Dice is above 0, and that of the distance is not."""
    of_organ = {one.image: one for one in comparisons if one.organ == organ}
    for image in IMAGES:
        one = of_organ.get(image)
        if one is None:
            return f"its file states no comparison with propagation on {image} with these weights"
        low, high = one.dice_gain
        if low <= 0:
            return f"on {image} it does not beat propagation (Dice {low:+.3f} to {high:+.3f} on {one.days} days)"
        low, high = one.distance_added_mm
        if low > 0:
            return f"on {image} its surface lies farther off than propagation's ({low:+.1f} to {high:+.1f} mm)"
        if one.days < FEWEST_DAYS:
            return f"it was compared with propagation on {one.days} days of {image}, and {FEWEST_DAYS} are the fewest"
    return ""
