"""Is it a treatment that the network knows? Prescriptions, fractions, beams and voxel size."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.prediction.facts import AnatomyFacts
from appliance.prediction.range_finding import RangeFinding, note, refuse, warn
from appliance.prediction.range_model import RangeModel

PRESCRIBED_WARN, PRESCRIBED_REFUSE = 0.1, 0.4
"""How far the highest prescription may lie from the known one, as a share of it. Chosen: doses are scaled with the
prescription while limits of organs are not, so that plans differ more the further it is; 40 % away (42 Gy instead
of 70) is another treatment."""
LEVEL_TOLERANCE = 0.02
"""Of a level relative to the highest prescription. Chosen: 54.12 of 66 Gy (0.82) is treated as 0.8."""
LOWEST_LEVEL = 0.7
"""Relative to the highest prescription; a target below has no channel that would not raise its dose (chosen: half a
step of 0.1 and as much again under the lowest known level of 0.8)."""
FRACTION_GY_WARN, FRACTION_GY_REFUSE = (1.7, 2.4), 4.0
"""Dose in a fraction of the highest prescription. Chosen: usual fractionation with an integrated boost; above 4 Gy
plans are made to other goals altogether."""
FEWEST_BEAMS = 7
"""Chosen: from seven evenly spaced beams on, more of them change a head-and-neck plan little."""
SPACING_WARN, SPACING_REFUSE = 1.1, 1.5
"""Voxels this many times larger than the largest, or smaller than the smallest, that the network knows (chosen: 10 % is
less than what augmentation and interpolation do; at 1.5 a beamlet has another number of voxels)."""


def judge_treatment(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    yield from _prescriptions(facts, model)
    yield from _fractions(facts)
    yield from _beams(facts, model)
    yield from _spacing(facts, model)


def _prescriptions(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    if not facts.prescribed_gy or not all(gy > 0 for gy in facts.prescribed_gy):
        return
    known, highest = model.prescribed_gy[0], facts.prescribed_gy[0]
    said = f"The highest prescription is {highest:g} Gy; the network knows {known:g} Gy and scales its dose"
    if abs(highest / known - 1.0) > PRESCRIBED_REFUSE:
        yield refuse("prescription.highest", f"{said}, which is too far to be of use.")
    elif abs(highest / known - 1.0) > PRESCRIBED_WARN:
        yield warn("prescription.highest", f"{said}. Organ doses of a real plan may not scale with it.")
    if len(facts.prescribed_gy) > len(model.prescribed_gy):
        yield warn(
            "prescription.levels",
            f"There are {len(facts.prescribed_gy)} prescribed doses; the network knows {len(model.prescribed_gy)} at "
            f"most and takes neighbouring ones together. Expect more dose than prescribed between them.",
        )
    for gy in facts.prescribed_gy[1:]:
        yield from _level(gy, highest, model)


def _level(gy: float, highest: float, model: RangeModel) -> Iterator[RangeFinding]:
    share = gy / highest
    levels = [level / model.prescribed_gy[0] for level in model.prescribed_gy]
    known = ", ".join(f"{100 * level:.0f}" for level in levels)
    said = f"A target is prescribed {gy:g} Gy, {100 * share:.0f} % of the highest; the network knows {known} %"
    if share < LOWEST_LEVEL:
        yield refuse(f"prescription.level.{gy:g}", f"{said}. Its dose would come out too high.")
    elif min(abs(share - level) for level in levels) > LEVEL_TOLERANCE:
        yield warn(f"prescription.level.{gy:g}", f"{said} and takes the next lower of them. Check the dose there.")


def _fractions(facts: AnatomyFacts) -> Iterator[RangeFinding]:
    if facts.treatment.fractions is None or not facts.prescribed_gy:
        return
    each = facts.prescribed_gy[0] / max(facts.treatment.fractions, 1)
    low, high = FRACTION_GY_WARN
    said = f"{each:.2f} Gy a fraction; the network was trained on plans of 2 Gy."
    if each > FRACTION_GY_REFUSE:
        yield refuse("fractions", f"{said} Such plans are made to other goals.")
    elif not low <= each <= high:
        yield warn("fractions", f"{said} Other fractionations are planned to other goals: check organ limits.")


def _beams(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    plan, known = facts.treatment, len(model.gantry_deg)
    if not plan.coplanar:
        yield warn("beams.couch", f"Beams with a turned couch: the network knows {known} beams in one plane only.")
    if plan.arcs:
        yield note("beams.arc", f"The dose of {known} fixed beams is predicted; arcs spread low dose more evenly.")
    elif plan.gantry_deg and len(plan.gantry_deg) < FEWEST_BEAMS:
        count = len(plan.gantry_deg)
        yield warn("beams.few", f"{count} beams: the network predicts a plan of {known}, which {count} may not reach.")


def _spacing(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    yield from _image_spacing(facts, model)
    for axis, side, (low, high) in zip("zyx", facts.spacing_mm, model.spacing_mm, strict=True):
        said = f"Voxels of {side:.2f} mm along {axis}; the network knows {low:.2f} to {high:.2f} mm."
        if not low / SPACING_REFUSE <= side <= high * SPACING_REFUSE:
            yield refuse(f"spacing.{axis}", f"{said} Use an image of other spacing.")
        elif not low / SPACING_WARN <= side <= high * SPACING_WARN:
            yield warn(f"spacing.{axis}", f"{said} Thin structures may come out wrong: look at small organs.")


def _image_spacing(facts: AnatomyFacts, model: RangeModel) -> Iterator[RangeFinding]:
    """A finer image loses nothing on the network's grid; what a coarser one does not show cannot be put back."""
    image = facts.treatment.image_spacing_mm
    if image is None:
        return
    for axis, side, (_, high) in zip("zyx", image, model.spacing_mm, strict=True):
        said = f"The image's voxels are {side:.2f} mm along {axis}; the network knows {high:.2f} mm at most."
        if side > high * SPACING_REFUSE:
            yield refuse(f"image.spacing.{axis}", f"{said} Use an image of finer spacing.")
        elif side > high * SPACING_WARN:
            yield warn(f"image.spacing.{axis}", f"{said} Small organs are not drawn well enough: look at them.")
