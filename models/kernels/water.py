"""Cross sections and stopping powers of liquid water for the point-kernel simulation (a tool; the product does not
import it). Energies in MeV, lengths in cm, 1 g/cm3.

Photons: NIST XCOM rows. Coherent scattering is left out. To 1 MeV the partial coefficients are XCOM's; above,
incoherent scattering is Klein-Nishina with XCOM's radiative correction (0.08 % at 1 MeV, 0.32 % at 10 MeV, interpolated
in log E), and pair production (nuclear and electron field together) is what is left of the tabulated total.
Electrons: collision stopping power by the Berger-Seltzer formula (ICRU Report 37, 1984) with the density effect of
Sternheimer, Berger, Seltzer (At Data Nucl Data Tables 30:261, 1984); radiative: ESTAR table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ELECTRON_MASS_MEV = 0.51099895
CLASSICAL_RADIUS_CM = 2.8179403e-13
ELECTRONS_PER_CM3 = 6.02214076e23 * 10 / 18.01528
MOLECULES_PER_CM3 = 6.02214076e23 / 18.01528
FINE_STRUCTURE = 1 / 137.036

ELASTIC_SCALE = 0.97
"""Chosen, because with it the forward cones of the 2 MeV primary kernel agree with EGSnrc (EDKnrc) to 1 %. Moliere's
screening, the missing spin correction, and deflection counted twice in Moller events are uncertain by more."""

TOTAL = np.array(
    [
        (0.010, 5.329), (0.015, 1.673), (0.020, 0.8096), (0.030, 0.3756), (0.040, 0.2683), (0.050, 0.2269),
        (0.060, 0.2059), (0.080, 0.1837), (0.100, 0.1707), (0.150, 0.1505), (0.200, 0.1370), (0.300, 0.1186),
        (0.400, 0.1061), (0.500, 0.09687), (0.600, 0.08956), (0.800, 0.07865), (1.000, 0.07072), (1.250, 0.06323),
        (1.500, 0.05754), (2.000, 0.04942), (3.000, 0.03969), (4.000, 0.03403), (5.000, 0.03031), (6.000, 0.02770),
        (8.000, 0.02429), (10.00, 0.02219), (15.00, 0.01941),
    ]
)  # fmt: skip
"""Energy, mu/rho with coherent scattering, cm2/g: Hubbell and Seltzer, NISTIR 5632 (1995), liquid water."""
PHOTOELECTRIC = np.array(
    [
        4.944, 1.370, 0.5437, 0.1457, 0.05680, 0.02725, 0.01493, 5.770e-3, 2.763e-3, 7.308e-4, 2.887e-4, 8.160e-5,
        3.493e-5, 1.883e-5, 1.173e-5, 5.920e-6, 3.681e-6,
    ]
)  # fmt: skip
"""XCOM, at the first energies of TOTAL up to 1 MeV; above it falls as 1/E (below 1e-4 of the total)."""
COHERENT = np.array(
    [
        0.2305, 0.1331, 0.08856, 0.0470, 0.0288, 0.01936, 0.01392, 8.165e-3, 5.349e-3, 2.442e-3, 1.388e-3, 6.215e-4,
        3.506e-4, 2.247e-4, 1.561e-4, 8.790e-5, 5.627e-5,
    ]
)  # fmt: skip
"""XCOM, as PHOTOELECTRIC; above 1 MeV it falls as 1/E^2."""
RADIATIVE = np.array(
    [
        (0.01, 3.898e-3), (0.02, 3.963e-3), (0.05, 4.031e-3), (0.1, 4.228e-3), (0.2, 4.801e-3), (0.3, 5.514e-3),
        (0.4, 6.339e-3), (0.5, 7.257e-3), (0.6, 8.254e-3), (0.8, 1.043e-2), (1.0, 1.280e-2), (1.25, 1.600e-2),
        (1.5, 1.942e-2), (2.0, 2.678e-2), (3.0, 4.299e-2), (4.0, 6.058e-2), (5.0, 7.917e-2), (6.0, 9.854e-2),
        (8.0, 0.1391), (10.0, 0.1816), (15.0, 0.2935),
    ]
)  # fmt: skip
"""Radiative stopping power of electrons, MeV cm2/g: ESTAR, liquid water (typed from memory, unconfirmed)."""


def klein_nishina_cm2(energy_mev: Array) -> Array:
    """Klein-Nishina cross section of one electron, cm2 (Evans, The Atomic Nucleus, 1955, ch. 23 eq. 3.1)."""
    k = np.asarray(energy_mev, np.float64) / ELECTRON_MASS_MEV
    log = np.log1p(2 * k)
    first = (1 + k) / k**2 * (2 * (1 + k) / (1 + 2 * k) - log / k)
    return np.asarray(2 * np.pi * CLASSICAL_RADIUS_CM**2 * (first + log / (2 * k) - (1 + 3 * k) / (1 + 2 * k) ** 2))


def photon_partials(energy_mev: Array) -> Array:
    """(3, n): incoherent, photoelectric, pair production, per cm, log-log between the tabulated energies."""
    nodes = TOTAL[:, 0]
    above = nodes > 1.0
    photo = np.append(PHOTOELECTRIC, PHOTOELECTRIC[-1] / nodes[above])
    coherent = np.append(COHERENT, COHERENT[-1] / nodes[above] ** 2)
    correction = 1 + np.interp(np.log(nodes), [0.0, np.log(10.0)], [0.0008, 0.0032])
    incoherent = TOTAL[:, 1] - coherent - photo
    incoherent[above] = (klein_nishina_cm2(nodes) * ELECTRONS_PER_CM3 * correction)[above]
    pair = np.maximum(TOTAL[:, 1] - coherent - photo - incoherent, 0.0)
    e = np.asarray(energy_mev, np.float64)
    logs = [np.exp(np.interp(np.log(e), np.log(nodes), np.log(column))) for column in (incoherent, photo)]
    return np.stack([*logs, _pair(e, nodes, pair)])


def _pair(e: Array, nodes: Array, pair: Array) -> Array:
    """Smooth from the threshold: the remainder divided by (1 - threshold/E)^3 is interpolated (Motz, Olsen, Koch, Rev
    Mod Phys 41:581, 1969, for the shape near threshold). The 1.25 MeV remainder is rounding and not used."""
    threshold = 2 * ELECTRON_MASS_MEV
    used = nodes >= 1.5
    shape = pair[used] / (1 - threshold / nodes[used]) ** 3
    value = np.interp(np.log(e), np.log(nodes[used]), shape) * np.clip(1 - threshold / e, 0, None) ** 3
    return np.asarray(value)


def collision_stopping(energy_mev: Array) -> Array:
    """Electronic stopping power of electrons, MeV/cm: ICRU 37 eq. (Berger-Seltzer), I = 75 eV, Sternheimer parameters
    of liquid water C = 3.5017, x0 = 0.2400, x1 = 2.8004, a = 0.09116, m = 3.4773."""
    tau = np.asarray(energy_mev, np.float64) / ELECTRON_MASS_MEV
    beta2 = tau * (tau + 2) / (tau + 1) ** 2
    x = np.log10(np.sqrt(tau * (tau + 2)))
    bend = 0.09116 * np.clip(2.8004 - x, 0, None) ** 3.4773
    density = np.where(x < 0.2400, 0.0, 4.6052 * x - 3.5017 + bend)
    f = 1 - beta2 + (tau**2 / 8 - (2 * tau + 1) * np.log(2)) / (tau + 1) ** 2
    log = np.log(tau**2 * (tau + 2) / (2 * (75e-6 / ELECTRON_MASS_MEV) ** 2))
    scale = 2 * np.pi * CLASSICAL_RADIUS_CM**2 * ELECTRON_MASS_MEV * ELECTRONS_PER_CM3
    return np.asarray(scale / beta2 * (log + f - density))


def radiative_stopping(energy_mev: Array) -> Array:
    """Radiative stopping power of electrons, MeV/cm, log-log in the ESTAR table."""
    e = np.asarray(energy_mev, np.float64)
    return np.asarray(np.exp(np.interp(np.log(e), np.log(RADIATIVE[:, 0]), np.log(RADIATIVE[:, 1]))))


def csda_range_cm(energy_mev: Array) -> Array:
    """Range in the continuous-slowing-down approximation; below 10 keV stopping power is taken as falling like
    energy^-0.77, which gives the ESTAR range of 2.5e-4 cm at 10 keV."""
    grid = np.geomspace(0.01, 15.0, 4000)
    inverse = 1 / (collision_stopping(grid) + radiative_stopping(grid))
    steps = 0.5 * (inverse[1:] + inverse[:-1]) * np.diff(grid)
    ranges = np.append(0.0, np.cumsum(steps)) + grid[0] * inverse[0] / 1.77
    return np.asarray(np.interp(energy_mev, grid, ranges))


def screening(energy_mev: Array) -> Array:
    """Moliere's screening parameter of oxygen (the atom that scatters most in water), for cross sections that go as
    1 / (1 - cos + 2 A)^2: A = chi_a^2 / 4 (Bethe, Phys Rev 89:1256, 1953)."""
    tau = np.asarray(energy_mev, np.float64) / ELECTRON_MASS_MEV
    p2 = tau * (tau + 2)
    beta2 = p2 / (tau + 1) ** 2
    chi0_squared = (FINE_STRUCTURE * 8 ** (1 / 3) / 0.885) ** 2 / p2
    return np.asarray(chi0_squared * (1.13 + 3.76 * (8 * FINE_STRUCTURE) ** 2 / beta2) / 4)


def elastic_per_cm(energy_mev: Array) -> Array:
    """Macroscopic screened Rutherford cross section, with Z(Z + 1) for the atomic electrons, times ELASTIC_SCALE."""
    tau = np.asarray(energy_mev, np.float64) / ELECTRON_MASS_MEV
    p2 = tau * (tau + 2)
    beta2 = p2 / (tau + 1) ** 2
    a = screening(energy_mev)
    strength = ELASTIC_SCALE * MOLECULES_PER_CM3 * (2 * 1 * 2 + 8 * 9)
    return np.asarray(strength * np.pi * CLASSICAL_RADIUS_CM**2 / (p2 * beta2) / (a * (1 + a)))
