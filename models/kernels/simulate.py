"""Makes water_point_kernels.npz by Monte Carlo simulation. Needs NumPy and Numba; about 7 minutes of one CPU.

    pip install numpy numba
    python models/kernels/simulate.py --histories 700000 --seed 20261124 --out models/kernels/water_point_kernels.npz

A photon is forced to interact at the origin of unbounded water; transport.py says how its products are followed,
water.py with which cross sections. Batches give the statistical error.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import water
from transport import CUT_BREMS, CUT_DELTA, histories
from water import ELECTRON_MASS_MEV as M

ENERGIES_MEV = (
    0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0,
)  # fmt: skip
RADII_MM = (
    0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 25,
    28, 30, 35, 40, 45, 50, 55, 60, 70, 80, 90, 100, 120, 150, 175, 200, 250, 300, 350, 400, 500, 600,
)  # fmt: skip
"""All radii of Mackie 1988 and of EDKnrc's default are among them, for comparison."""
ANGLES = 48
LIMIT_CM = 70.0
BATCHES = 16
HARD = 0.05
"""Mixed elastic scattering: one hard collision in at least 0.05 first transport paths (PENELOPE's C1; chosen)."""


def table() -> np.ndarray:
    """Rows at E = 0.01 MeV x 10^(i/100) to 15 MeV; columns as transport.electron and transport.interact read them."""
    energy = 0.01 * 10 ** (np.arange(319) / 100)
    delta, delta_loss = _moller_integrals(energy)
    brems = water.radiative_stopping(energy) / (0.75 * energy)
    c = np.minimum(CUT_BREMS / energy, 1.0)
    emitted = brems * (-np.log(c) - (1 - c) + 0.375 * (1 - c**2))
    kept = brems * energy * (c - c**2 / 2 + c**3 / 4)
    loss = water.collision_stopping(energy) - delta_loss + kept
    a, elastic = water.screening(energy), water.elastic_per_cm(energy)
    transport = elastic * 2 * a * ((1 + a) * np.log1p(1 / a) - 1)
    hard = np.minimum(transport / HARD, elastic)
    share = hard / elastic
    limit = a * (1 + a) / (share + a) - a
    soft = elastic * 2 * a * (1 + a) * (np.log1p(limit / a) + a / (limit + a) - 1)
    columns = [*water.photon_partials(energy), loss, hard, delta, emitted, a, limit, soft, water.csda_range_cm(energy)]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _moller_integrals(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moller collisions with more than CUT_DELTA, per cm, and the energy they take, MeV/cm."""
    count, taken = np.zeros_like(energy), np.zeros_like(energy)
    for i, e in enumerate(energy):
        if e <= 2 * CUT_DELTA:
            continue
        w = np.geomspace(CUT_DELTA, e / 2, 400)
        a, tau = (e / (e + M)) ** 2, e / M
        beta2 = tau * (tau + 2) / (tau + 1) ** 2
        q = w / (e - w)
        scale = 2 * np.pi * water.CLASSICAL_RADIUS_CM**2 * M / beta2 * water.ELECTRONS_PER_CM3
        density = scale / w**2 * (1 + q**2 - (1 - a) * q + a * (w / e) ** 2)
        count[i], taken[i] = np.trapezoid(density, w), np.trapezoid(density * w, w)
    return count, taken


def kernel(energy: float, count: int, seed: int, physics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2, angles, shells + 1) fraction of the photon energy, and the standard deviation of it, from batches."""
    radius = np.array(RADII_MM) / 10.0
    each = -(-count // BATCHES)
    runs = [histories(each, seed + b, energy, physics, radius, ANGLES, LIMIT_CM) for b in range(BATCHES)]
    fractions = np.stack(runs) / (each * energy)
    return fractions.mean(axis=0), fractions.std(axis=0, ddof=1) / np.sqrt(BATCHES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=700_000)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--energies", type=float, nargs="*", default=ENERGIES_MEV)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    physics, means, errors = table(), [], []
    for number, energy in enumerate(options.energies):
        begun = time.process_time()
        mean, error = kernel(energy, options.histories, options.seed + 1000 * number, physics)
        total = mean.sum(axis=(1, 2))
        cpu = time.process_time() - begun
        beyond = mean[:, :, -1].sum()
        line = f"{energy:6.2f} MeV  primary {total[0]:.5f}  all {total.sum():.5f}  beyond {beyond:.5f}  {cpu:.0f} s"
        sys.stdout.write(line + "\n")
        means.append(mean)
        errors.append(error)
    save(options, np.stack(means), np.stack(errors))


def save(options: argparse.Namespace, mean: np.ndarray, error: np.ndarray) -> None:
    relative = np.where(mean > 0, error / np.maximum(mean, 1e-30), 0).astype(np.float16)
    energy = np.array(options.energies)
    shells = mean[:, :, :, :-1].astype(np.float32)
    np.savez_compressed(
        options.out,
        format="couchside-point-kernels-1",
        source=f"Couchside models/kernels/simulate.py, {options.histories} histories an energy, seed {options.seed}",
        energy_mev=energy,
        angle_edges_deg=np.linspace(0, 180, ANGLES + 1),
        radius_edges_mm=np.array(RADII_MM, np.float64),
        primary=shells[:, 0],
        scatter=shells[:, 1],
        escaped=mean[:, :, :, -1].sum(axis=(1, 2)),
        primary_error=relative[:, 0, :, :-1],
        scatter_error=relative[:, 1, :, :-1],
        water_per_cm=water.photon_partials(energy).sum(axis=0),
    )


if __name__ == "__main__":
    main()
