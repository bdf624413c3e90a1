"""What a fit may move of a beam, and the dose that follows from it in a water tank.

The spectrum is a published one of the machine's kind, reweighted by a smooth filter of two parameters,

    fluence(E) = published(E) * (E / 2 MeV)^tilt * exp(-hardening * (mu(E) / mu(2 MeV) - 1)),

the first for the bremsstrahlung's slope, the second for more or less filter (chosen: both are smooth, so that a depth
dose cannot ask for a spectrum with peaks; Ali and Rogers, Phys Med Biol 57:31, 2012, compare such few-parameter forms).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from appliance.commissioning.curves import SINGLE_POINT, Array, Curve, Kind
from appliance.commissioning.points import beam_points_mm, surface_mm
from engines.photon.beamfit.pencils import Pencils
from engines.photon.beamfit.water import Field, Head, Water
from engines.photon.superposition.model import Contamination, ExtraFocal

FILTER_MEV = 2.0


@dataclass(frozen=True)
class AxisParameters:
    """What depth doses and output factors determine. Bounds are in fit_axis.py."""

    tilt: float = 0.0
    hardening: float = 0.0
    head_weight: float = 0.06
    head_sigma_mm: float = 20.0
    electron_weight: float = 0.1
    electron_attenuation_per_mm: float = 0.08
    electron_sigma_mm: float = 40.0


@dataclass(frozen=True, eq=False)
class Beam:
    """A whole beam of a fit. base_fluence (E,): the published spectrum on the pencils' energies."""

    pencils: Pencils
    base_fluence: Array
    sad_mm: float
    axis: AxisParameters
    softening_per_deg: tuple[float, float, float]
    profile_radius_mm: Array
    profile_relative: Array
    source_fwhm_mm: float
    head_distance_mm: float
    collimator_mm: float
    transmission: float

    @property
    def fluence(self) -> Array:
        """Photons per bin after the filter."""
        energy, mu = self.pencils.energy_mev, self.pencils.attenuation_cm2_g
        ratio = mu / np.interp(FILTER_MEV, energy, mu)
        shaped = (energy / FILTER_MEV) ** self.axis.tilt * np.exp(-self.axis.hardening * (ratio - 1.0))
        filtered = self.base_fluence * shaped
        return np.asarray(filtered / filtered.sum())

    @property
    def extra_focal(self) -> ExtraFocal:
        a = self.axis
        return ExtraFocal(a.head_weight, a.head_sigma_mm, self.head_distance_mm, self.collimator_mm)

    @property
    def contamination(self) -> Contamination:
        a = self.axis
        return Contamination(a.electron_weight, a.electron_attenuation_per_mm, a.electron_sigma_mm)

    def water(self) -> Water:
        head = Head(
            fluence=self.fluence,
            softening_per_deg=self.softening_per_deg,
            profile_radius_mm=self.profile_radius_mm,
            profile_relative=self.profile_relative,
            source_fwhm_mm=self.source_fwhm_mm,
            extra_focal=self.extra_focal,
            contamination=self.contamination,
            transmission=self.transmission,
        )
        return Water(self.pencils, head, self.sad_mm)

    def with_axis(self, axis: AxisParameters) -> Beam:
        return replace(self, axis=axis)


@dataclass(frozen=True, eq=False)
class Correction:
    """By what factor another algorithm differs from pencils with the same beam: positions_mm and factors (n,) for each
    curve's setup (`key`). A setup that is not in it has one."""

    factors: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def at(self, curve: Curve) -> Array:
        """(n,) at the curve's points."""
        positions, factors = self.factors.get(key(curve), (np.zeros(1), np.ones(1)))
        return np.asarray(np.interp(curve.positions_mm, positions, factors))


class Superposed:
    """Algorithm of predict.py: pencils in water. With a correction a fit fits the algorithm that it was taken from."""

    name = "pencils in water"

    def __init__(self, beam: Beam, correction: Correction | None = None) -> None:
        self.beam, self.water, self._correction = beam, beam.water(), correction or Correction()

    def dose(self, curve: Curve) -> Array:
        return np.asarray(self._plain(curve) * self._correction.at(curve))

    def _plain(self, curve: Curve) -> Array:
        half = (0.5 * curve.field_x_mm, 0.5 * curve.field_y_mm)
        if curve.slab is not None:
            return np.full(curve.positions_mm.shape, np.nan)
        if curve.kind is Kind.COLLIMATOR_FACTOR:
            return np.array([self.water.in_air(half)])
        points, ssd = beam_points_mm(curve), surface_mm(curve, self.beam.sad_mm)
        if curve.kind is Kind.PROFILE:
            return self.water.across(Field(half, curve.ssd_mm), curve.depth_mm, points[:, 0], points[:, 1])
        if curve.kind in SINGLE_POINT or np.ptp(ssd) == 0.0:
            return self.water.on_axis(Field(half, float(ssd[0])), points[:, 2])
        doses = [self.water.on_axis(Field(half, float(s)), p[2:3])[0] for s, p in zip(ssd, points, strict=True)]
        return np.array(doses)


def key(curve: Curve) -> str:
    """Names a curve's setup: reference points made for an output factor have no place in a file."""
    return f"{curve.title}|{curve.slab}"
