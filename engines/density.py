"""Mass density and relative electron density of tissue, one from the other.

Electrons per gram depend on composition, hydrogen above all: Z/A of the tissues below, and between their densities in
proportion. Below lung it is a mixture of air and lung, above soft tissue one of soft tissue and mineral bone, above
bone metal. Tissues of one density and another composition differ little (ICRU 44 muscle and blood from soft tissue by
0.01 %, brain by 0.4 %)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

WATER_G_CM3 = 1.0
WATER_Z_OVER_A = 0.55508
"""Liquid water: NIST, X-Ray Mass Attenuation Coefficients, table 2 (Hubbell and Seltzer, NISTIR 5632)."""

TISSUES: tuple[tuple[str, float, float], ...] = (
    ("air, dry", 0.001205, 0.49919),
    ("lung, inflated", 0.26, 0.55048),
    ("adipose", 0.95, 0.55579),
    ("water", WATER_G_CM3, WATER_Z_OVER_A),
    ("soft tissue", 1.06, 0.54996),
    ("bone, cortical", 1.92, 0.51478),
    ("titanium", 4.54, 0.45961),
)
"""(name, mass density in g/cm3, Z/A): NIST tables 1 and 2 (ICRU Report 44 tissues), in order of density. The density of
inflated lung, 0.26 g/cm3, is that of ICRP and ICRU reference lung; its composition does not change with the air."""

Floats = NDArray[np.float64]
_DENSITY = np.array([density for _, density, _ in TISSUES])
_RELATIVE = np.array([z_over_a for *_, z_over_a in TISSUES]) / WATER_Z_OVER_A


def electron_from_mass(relative_mass: NDArray[np.floating]) -> Floats:
    """Electron density relative to water from mass density relative to water (of 1 g/cm3), same shape. Below the first
    and above the last tissue Z/A stays. Raises EngineError for a density below 0 or not a number."""
    mass = np.asarray(relative_mass, np.float64)
    if not np.all(mass >= 0):
        raise EngineError("a mass density is below 0 or not a number")
    return np.asarray(mass * np.interp(mass * WATER_G_CM3, _DENSITY, _RELATIVE))


def mass_from_electron(relative_electron: NDArray[np.floating]) -> Floats:
    """The inverse. Between two tissues electron density is a quadratic of mass density; it is solved exactly."""
    electron = np.asarray(relative_electron, np.float64)
    if not np.all(electron >= 0):
        raise EngineError("an electron density is below 0 or not a number")
    at = _DENSITY * _RELATIVE
    i = np.clip(np.searchsorted(at, electron, side="right") - 1, 0, len(at) - 2)
    slope = np.diff(_RELATIVE)[i] / np.diff(_DENSITY)[i]
    # mass (r_i + slope (mass - d_i)) = electron, on the branch that grows; slope may be negative but not zero
    linear = _RELATIVE[i] - slope * _DENSITY[i]
    root = np.sqrt(np.maximum(linear**2 + 4 * slope * electron, 0.0))
    inside = 2 * electron / (linear + root)
    ends = np.where(electron <= at[0], electron / _RELATIVE[0], electron / _RELATIVE[-1])
    return np.asarray(np.where((electron <= at[0]) | (electron >= at[-1]), ends, inside) / WATER_G_CM3)
