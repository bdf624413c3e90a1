"""A photon plan as a machine delivers it: beams of control points, the same picture as DICOM RTPLAN."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Jaws:
    """IEC 61217 beam limiting device coordinates at the isocentre plane, mm."""

    x1_mm: float
    x2_mm: float
    y1_mm: float
    y2_mm: float


@dataclass(frozen=True)
class ControlPoint:
    """State of the machine once `cumulative_mu` monitor units (per fraction) of the beam are delivered.

    leaf_a_mm / leaf_b_mm: positions of the leaf pairs along IEC X (MLCX) at the isocentre plane, in order of the
    beam's leaf boundaries; bank A is the X1 (negative) side, bank B the X2 side, so open where a < b. lower_a_mm /
    lower_b_mm: the same of a second layer of leaves, nearer to the patient (empty: one layer).
    """

    cumulative_mu: float
    gantry_deg: float
    collimator_deg: float
    couch_deg: float
    jaws: Jaws
    leaf_a_mm: tuple[float, ...]
    leaf_b_mm: tuple[float, ...]
    lower_a_mm: tuple[float, ...] = ()
    lower_b_mm: tuple[float, ...] = ()


@dataclass(frozen=True)
class Beam:
    """One beam. isocentre_mm in LPS. leaf_boundaries_mm: n+1 values along IEC Y for n pairs (empty: no MLC, jaws
    only); lower_boundaries_mm: of the second layer. leaf_axis: IEC axis along which leaves travel, 'X' (MLCX) or 'Y'
    (MLCY; then boundaries lie along IEC X and leaf positions along IEC Y). jaw_axes: IEC axes that have a pair of jaws
    of their own; along the others the opening of every control point is fixed. Between two control points the machine
    moves linearly; a step-and-shoot segment is a pair of control points with equal shape and growing meterset, followed
    by a move with equal meterset."""

    number: int
    name: str
    machine: str
    energy_mv: float
    fluence_mode: str
    isocentre_mm: tuple[float, float, float]
    sad_mm: float
    dose_rate_mu_min: float
    leaf_boundaries_mm: tuple[float, ...]
    control_points: tuple[ControlPoint, ...]
    lower_boundaries_mm: tuple[float, ...] = ()
    leaf_axis: Literal["X", "Y"] = "X"
    jaw_axes: Literal["XY", "X", "Y", ""] = "XY"

    @property
    def mu(self) -> float:
        return self.control_points[-1].cumulative_mu

    @property
    def gantry_deg(self) -> float:
        return self.control_points[0].gantry_deg

    def segments(self) -> tuple[tuple[float, ControlPoint], ...]:
        """(MU, shape) of each interval that delivers dose without moving anything."""
        return tuple(
            (after.cumulative_mu - before.cumulative_mu, before)
            for before, after in pairwise(self.control_points)
            if after.cumulative_mu > before.cumulative_mu
        )


@dataclass(frozen=True)
class Plan:
    """A photon plan. MU are per fraction, doses elsewhere are for the whole course of `fractions`."""

    label: str
    beams: tuple[Beam, ...]
    fractions: int
    patient_position: str
    technique: str = "STEP_AND_SHOOT"

    @property
    def mu(self) -> float:
        return sum(beam.mu for beam in self.beams)

    @property
    def control_point_count(self) -> int:
        return sum(len(beam.control_points) for beam in self.beams)

    def to_json(self) -> bytes:
        """Canonical JSON: the bytes whose SHA-256 is the plan's digest."""
        return _PLAN.dump_json(self)

    @staticmethod
    def from_json(data: bytes) -> Plan:
        return _PLAN.validate_json(data)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()


_PLAN = TypeAdapter(Plan)
