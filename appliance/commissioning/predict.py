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
BEYOND_MM, FINER_MM = 10.0, 1.0


class Algorithm(Protocol):
    """A dose algorithm with one beam model, in a water tank."""

    name: str

    def dose(self, curve: Curve) -> Array:
        """Dose per MU of an open field at a curve's points (n,), any unit, the same for all curves; nan where this
        algorithm cannot say. A slab of the curve is in the tank."""
        ...


@dataclass(frozen=True)
class Setup:
    """Machine, reference field that output factors relate to, and width of the detector that scanned the profiles."""

    sad_mm: float
    field_mm: float
    detector_mm: float = 0.0


def comparisons(
    curves: Sequence[Curve], algorithm: Algorithm, setup: Setup, *, among: Sequence[Curve] = ()
) -> tuple[Comparison, ...]:
    """One for each curve that the algorithm can compute. among: all that was measured, to find output factors in."""
    made = []
    for curve in curves:
        measured, modelled = _pair(curve, among or curves, algorithm, setup)
        known = np.isfinite(modelled) & np.isfinite(measured)
        if known.all():
            finer = _extended(curve, algorithm, setup) if curve.kind is Kind.PROFILE else None
            made.append(compare(curve, measured, modelled, sad_mm=setup.sad_mm, finer=finer))
    return tuple(made)


def _pair(curve: Curve, curves: Sequence[Curve], algorithm: Algorithm, setup: Setup) -> tuple[Array, Array]:
    """(measured, modelled) of one curve in one normalisation."""
    modelled = _seen(curve, algorithm, setup)
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


def _seen(curve: Curve, algorithm: Algorithm, setup: Setup) -> Array:
    """Dose as the detector sees it: a profile's averaged over a cylindrical chamber, whose projection has a standard
    deviation of a quarter of its diameter (three points of Gauss-Hermite quadrature)."""
    dose = algorithm.dose(curve)
    if curve.kind is not Kind.PROFILE or setup.detector_mm == 0.0:
        return dose
    shift = np.sqrt(3.0) * setup.detector_mm / 4.0
    sides = [algorithm.dose(replace(curve, positions_mm=curve.positions_mm + s)) for s in (-shift, shift)]
    return np.asarray((4.0 * dose + sides[0] + sides[1]) / 6.0)


def _extended(curve: Curve, algorithm: Algorithm, setup: Setup) -> tuple[Array, Array]:
    """(positions, modelled) of a profile in its normalisation, finer than measured and beyond its ends, so that the
    distance to a dose is found where the scan was coarse or ended early."""
    at = curve.positions_mm
    finer = np.arange(at[0] - BEYOND_MM, at[-1] + BEYOND_MM + 0.5 * FINER_MM, FINER_MM)
    modelled = _seen(replace(curve, positions_mm=finer), algorithm, setup)
    return finer, modelled / np.interp(0.0, finer, modelled)


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
