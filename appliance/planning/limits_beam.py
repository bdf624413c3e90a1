"""Limits of a beam as a whole: its quality, its monitor units, its axes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from appliance.contracts import Beam, ControlPoint
from appliance.planning.machine import Machine

SAD_TOLERANCE_MM, ENERGY_TOLERANCE_MV, RATE_TOLERANCE_MU_MIN = 0.1, 0.01, 1e-6
"""Differences below these are the writer's rounding."""


def beam_violations(beam: Beam, machine: Machine) -> list[str]:
    """Sentences that name the beam, and the control point where there is one."""
    found = [*_quality(beam, machine), *_meterset(beam, machine)]
    if not (np.isfinite(beam.isocentre_mm).all()):
        found.append(f"beam {beam.number}: its isocentre is not a number")
    if not machine.jaws.tracking:
        first = beam.control_points[0].jaws
        moved = next((n for n, point in enumerate(beam.control_points) if point.jaws != first), None)
        if moved is not None:
            found.append(
                f"beam {beam.number}, control point {moved}: its jaws move between control points, which "
                f"{machine.name} does not do"
            )
    return found


def _quality(beam: Beam, machine: Machine) -> list[str]:
    found = []
    if not abs(beam.sad_mm - machine.sad_mm) <= SAD_TOLERANCE_MM:
        found.append(f"beam {beam.number}: its source-axis distance of {beam.sad_mm:g} mm is not {machine.sad_mm:g} mm")
    most = machine.dose_rate.maximum_mu_min
    # 0 where a plan states none; the machine's own then holds
    if not 0 <= beam.dose_rate_mu_min <= most + RATE_TOLERANCE_MU_MIN:
        found.append(f"beam {beam.number}: {beam.dose_rate_mu_min:g} MU/min are outside 0..{most:g} MU/min")
    same_energy = abs(beam.energy_mv - machine.energy_mv) <= ENERGY_TOLERANCE_MV
    if not same_energy or beam.fluence_mode != machine.fluence_mode:
        found.append(
            f"beam {beam.number}: {beam.energy_mv:g} MV {beam.fluence_mode} is not what {machine.name} delivers"
        )
    return found


def _meterset(beam: Beam, machine: Machine) -> list[str]:
    found, rate = [], machine.dose_rate
    resolution = rate.meterset_resolution_mu
    if beam.control_points[0].cumulative_mu != 0:
        found.append(f"beam {beam.number}, control point 0: its meterset does not start at 0 MU")
    for number, (before, after) in enumerate(pairwise(beam.control_points), start=1):
        step = after.cumulative_mu - before.cumulative_mu
        where = f"beam {beam.number}, control point {number}"
        if step < 0:
            found.append(f"{where}: its cumulative meterset falls")
        elif 0 < step < rate.minimum_segment_mu - resolution / 2 and stands_still(before, after):
            found.append(f"{where}: a segment of {step:.2f} MU is below {rate.minimum_segment_mu:g} MU")
    if beam.mu <= 0:
        found.append(f"beam {beam.number}: it delivers no monitor units")
    if beam.mu > rate.maximum_beam_mu + resolution / 2:
        found.append(f"beam {beam.number}: {beam.mu:.0f} MU exceed {rate.maximum_beam_mu:g} MU")
    return found


def stands_still(before: ControlPoint, after: ControlPoint) -> bool:
    """Whether nothing but the meterset differs: a segment of a step-and-shoot beam."""
    names = ("gantry_deg", "collimator_deg", "couch_deg", "jaws", "leaf_a_mm", "leaf_b_mm", "lower_a_mm", "lower_b_mm")
    return all(getattr(before, name) == getattr(after, name) for name in names)
