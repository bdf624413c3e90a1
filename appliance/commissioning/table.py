"""The validation tests of AAPM MPPG 5.b (Geurts et al., J Appl Clin Med Phys 23:e13641, 2022, table 1) that measured
curves can answer, with their tolerances. What the data cannot answer is 'not tested', never passed.

Tolerances of the guideline: absolute dose under reference conditions 0.5 % (test 5.1); calculated against commissioning
data 2 % (5.3); static fields (5.4 to 5.8) 2 % in the high-dose region where one parameter differs from the reference
conditions and 5 % where several do, 2 mm in the penumbra, 3 % of the maximum dose in the tail up to 5 cm from the field
edge; heterogeneity correction distal to lung 3 % (6.2). Dose differences are in percent of the local measured dose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from appliance.commissioning.agreement import Comparison, Region
from appliance.commissioning.curves import Curve, Kind
from appliance.commissioning.description import ReferenceConditions

REFERENCE_PERCENT, DATA_PERCENT, ONE_CHANGE_PERCENT, CHANGES_PERCENT = 0.5, 2.0, 2.0, 5.0
PENUMBRA_MM, TAIL_PERCENT, LUNG_PERCENT = 2.0, 3.0, 3.0
LUNG_DENSITY = 0.6
"""g/cm3: a layer lighter than this counts as lung (chosen: inflated lung 0.2 to 0.35, deflated 0.5)."""
SSD_TOLERANCE_MM, DEPTH_TOLERANCE_MM = 5.0, 2.0
"""Within these a setup is still the reference's (chosen)."""


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Verdict:
    """One row: worst is the deviation of largest magnitude in `unit`, where it lies, over how many points."""

    test: str
    objective: str
    region: str
    tolerance: float
    unit: str
    outcome: Outcome
    worst: float | None = None
    where: str = ""
    points: int = 0


def changes(curve: Curve, reference: ReferenceConditions) -> int:
    """How many parameters of a curve differ from the reference conditions: field, distance, depth, off axis, layer."""
    depth_varies = curve.kind in (Kind.DEPTH_DOSE, Kind.TISSUE_PHANTOM_RATIO)
    other_ssd = curve.kind is Kind.TISSUE_PHANTOM_RATIO or (
        bool(curve.ssd_mm) and abs(curve.ssd_mm - reference.ssd_mm) > SSD_TOLERANCE_MM
    )
    return sum(
        (
            not curve.is_of_field(reference.field_mm, reference.field_mm),
            other_ssd,
            depth_varies or (bool(curve.depth_mm) and abs(curve.depth_mm - reference.depth_mm) > DEPTH_TOLERANCE_MM),
            curve.kind is Kind.PROFILE,
            curve.slab is not None,
        )
    )


def mppg_table(
    comparisons: Sequence[Comparison], reference: ReferenceConditions, reference_percent: float | None
) -> tuple[Verdict, ...]:
    """reference_percent: deviation of the calculated dose per MU from the stated one under reference conditions."""
    at_reference = "calculated in a water phantom"
    rows = [
        _judged("5.1", "Dose per MU under reference conditions", "reference point", REFERENCE_PERCENT, "%",
                reference_percent, at_reference if reference_percent is not None else "", 1),
        _untested("5.2", "Planning module against physics module", "one module computes both"),
        _worst("5.3", "Commissioning data on the axis", Region.HIGH_DOSE, DATA_PERCENT, comparisons, _on_axis),
    ]  # fmt: skip
    for test, objective, chosen in (
        ("5.4", "MLC-shaped static fields", _by_mlc),
        ("5.6", "Off axis, jaw-shaped fields", _off_axis),
        ("5.7", "Other source-surface distances", _other_distance(reference)),
    ):
        rows += _static_field(test, objective, comparisons, chosen, reference)
        if test == "5.4":
            rows.append(_untested("5.5", "MLC transmission, overtravel, interleaf effects", "no such curves are read"))
    rows += [
        _untested("5.8", "Oblique incidence", "no such curves are read"),
        _untested("6.1", "Densities against known values", "done for a scanner, not for a beam"),
        _worst("6.2", "Heterogeneity correction distal to lung", Region.HIGH_DOSE, LUNG_PERCENT, comparisons, _lung),
        _untested(
            "7.1-7.5", "Small fields, TG-119, end to end", "done with plans and phantoms, not with a beam's curves"
        ),
    ]
    return tuple(rows)


def failed(table: Sequence[Verdict]) -> tuple[Verdict, ...]:
    return tuple(row for row in table if row.outcome is Outcome.FAILED)


_Choice = Callable[[Curve], bool]


def _on_axis(curve: Curve) -> bool:
    kinds = (Kind.DEPTH_DOSE, Kind.TISSUE_PHANTOM_RATIO, Kind.OUTPUT_FACTOR, Kind.COLLIMATOR_FACTOR)
    return curve.kind in kinds and curve.shaped_by == "jaws"


def _by_mlc(curve: Curve) -> bool:
    return curve.shaped_by == "mlc"


def _off_axis(curve: Curve) -> bool:
    return curve.kind is Kind.PROFILE and curve.shaped_by == "jaws"


def _lung(curve: Curve) -> bool:
    return curve.slab is not None and curve.slab.density < LUNG_DENSITY


def _other_distance(reference: ReferenceConditions) -> _Choice:
    def chosen(curve: Curve) -> bool:
        if curve.slab is not None or not curve.ssd_mm:
            return False
        return abs(curve.ssd_mm - reference.ssd_mm) > SSD_TOLERANCE_MM

    return chosen


def _static_field(
    test: str, objective: str, comparisons: Sequence[Comparison], chosen: _Choice, reference: ReferenceConditions
) -> list[Verdict]:
    def one(curve: Curve) -> bool:
        return chosen(curve) and changes(curve, reference) <= 1

    def several(curve: Curve) -> bool:
        return chosen(curve) and changes(curve, reference) > 1

    return [
        _worst(test, f"{objective}, one change", Region.HIGH_DOSE, ONE_CHANGE_PERCENT, comparisons, one),
        _worst(test, f"{objective}, several changes", Region.HIGH_DOSE, CHANGES_PERCENT, comparisons, several),
        _worst(test, objective, Region.PENUMBRA, PENUMBRA_MM, comparisons, chosen),
        _worst(test, objective, Region.TAIL, TAIL_PERCENT, comparisons, chosen),
    ]


def _worst(
    test: str, objective: str, region: Region, tolerance: float, comparisons: Sequence[Comparison], chosen: _Choice
) -> Verdict:
    unit = {Region.PENUMBRA: "mm", Region.TAIL: "% of maximum"}.get(region, "%")
    worst, where, points = None, "", 0
    for comparison in comparisons:
        found = comparison.worst(region) if chosen(comparison.curve) else None
        if found is None:
            continue
        points += comparison.points(region)
        if worst is None or not abs(found[0]) <= abs(worst):
            worst, where = found[0], _place(comparison.curve, found[1])
    return _judged(test, objective, region.value, tolerance, unit, worst, where, points)


def _place(curve: Curve, position_mm: float) -> str:
    if len(curve.positions_mm) == 1:
        return curve.title
    return f"{curve.title}, at {position_mm:g} mm"


def _judged(
    test: str,
    objective: str,
    region: str,
    tolerance: float,
    unit: str,
    worst: float | None,
    where: str,
    points: int,
) -> Verdict:
    """A deviation that is no number fails."""
    if worst is None:
        return Verdict(test, objective, region, tolerance, unit, Outcome.NOT_TESTED)
    good = bool(np.isfinite(worst)) and abs(worst) <= tolerance
    outcome = Outcome.PASSED if good else Outcome.FAILED
    return Verdict(test, objective, region, tolerance, unit, outcome, worst, where, points)


def _untested(test: str, objective: str, why: str) -> Verdict:
    return Verdict(test, objective, "", 0.0, "", Outcome.NOT_TESTED, where=why)
