"""What a beam model gives for each measured curve, in the measurement's own normalisation.

A depth dose is scaled to its output factor where one of the same field and distance is there, so that the whole curve
is judged in dose per MU; else both are set equal at 100 mm depth. Profiles are set equal on the axis, tissue-phantom
ratios at their reference depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from appliance.commissioning.agreement import Comparison, compare
from appliance.commissioning.curves import SINGLE_POINT, Array, Curve, Kind, of_kind

NORMALISATION_DEPTH_MM = 100.0
"""Where relative depth doses are set equal: the reference depth of TRS-398 and TG-51, free of contaminant electrons."""
SSD_TOLERANCE_MM = 0.5


class Algorithm(Protocol):
    """A dose algorithm with one beam model, in a water tank."""

    name: str

    def dose(self, curve: Curve) -> Array:
        """Dose per MU of an open field at a curve's points (n,), any unit, the same for all curves; nan where this
        algorithm cannot say. A slab of the curve is in the tank."""
        ...


@dataclass(frozen=True)
class Setup:
    """Machine and reference field that output factors relate to."""

    sad_mm: float
    field_mm: float


def comparisons(curves: Sequence[Curve], algorithm: Algorithm, setup: Setup) -> tuple[Comparison, ...]:
    """One for each curve that the algorithm can compute."""
    made = []
    for curve in curves:
        measured, modelled = _pair(curve, curves, algorithm, setup)
        known = np.isfinite(modelled) & np.isfinite(measured)
        if known.all():
            made.append(compare(curve, measured, modelled, sad_mm=setup.sad_mm))
    return tuple(made)


def _pair(curve: Curve, curves: Sequence[Curve], algorithm: Algorithm, setup: Setup) -> tuple[Array, Array]:
    """(measured, modelled) of one curve in one normalisation."""
    modelled = algorithm.dose(curve)
    if curve.kind is Kind.DENSITY_CORRECTION:
        return curve.values, modelled / algorithm.dose(replace(curve, slab=None))
    if curve.kind in SINGLE_POINT:
        return curve.values, modelled / algorithm.dose(reference_of(curve, setup))
    if curve.kind is Kind.DEPTH_DOSE:
        factor = output_factor_of(curve, curves)
        if factor is not None:
            point = np.interp(factor.depth_mm, curve.positions_mm, curve.values)
            return curve.values * factor.values[0] / point, modelled / algorithm.dose(reference_of(factor, setup))
    at = normalisation_mm(curve)
    return (
        curve.values / np.interp(at, curve.positions_mm, curve.values),
        modelled / np.interp(at, curve.positions_mm, modelled),
    )


def normalisation_mm(curve: Curve) -> float:
    """Position where a relative curve is one."""
    if curve.kind is Kind.PROFILE:
        return 0.0
    if curve.kind is Kind.TISSUE_PHANTOM_RATIO:
        return curve.depth_mm
    return min(NORMALISATION_DEPTH_MM, float(curve.positions_mm[-1]))


def reference_of(factor: Curve, setup: Setup) -> Curve:
    """The point that an output factor is relative to: the same setup in the reference field, shaped by jaws."""
    return replace(factor, field_x_mm=setup.field_mm, field_y_mm=setup.field_mm, shaped_by="jaws")


def output_factor_of(curve: Curve, curves: Sequence[Curve]) -> Curve | None:
    """The output factor of a depth dose's field at its distance, on the curve; None without one."""
    for factor in of_kind(curves, Kind.OUTPUT_FACTOR):
        same = factor.is_of_field(curve.field_x_mm, curve.field_y_mm) and factor.shaped_by == curve.shaped_by
        covered = curve.positions_mm[0] <= factor.depth_mm <= curve.positions_mm[-1]
        if same and abs(factor.ssd_mm - curve.ssd_mm) < SSD_TOLERANCE_MM and covered:
            return factor
    return None
