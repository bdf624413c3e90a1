"""Writes water.csv, air.csv and the spectra of this folder from their published numbers (a tool; needs NumPy).

    python models/kernels/tables.py

Sources stand beside the numbers; CARD.md says what was checked against what.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import water
from numpy.typing import NDArray

Array = NDArray[np.float64]
HERE = Path(__file__).resolve().parent

NIST = "Hubbell and Seltzer, NISTIR 5632 (1995), doi 10.18434/T4D01F"
WATER_ABSORPTION = (
    4.944, 1.374, 0.5503, 0.1557, 0.06947, 0.04223, 0.03190, 0.02597, 0.02546, 0.02764, 0.02967, 0.03192, 0.03279,
    0.03299, 0.03284, 0.03206, 0.03103, 0.02965, 0.02833, 0.02608, 0.02281, 0.02066, 0.01915, 0.01806, 0.01658, 0.01566,
    0.01441,
)  # fmt: skip
AIR = (
    (0.05, 0.2080, 0.04098), (0.06, 0.1875, 0.03041), (0.08, 0.1662, 0.02407), (0.1, 0.1541, 0.02325),
    (0.15, 0.1356, 0.02496), (0.2, 0.1233, 0.02672), (0.3, 0.1067, 0.02872), (0.4, 0.09549, 0.02949),
    (0.5, 0.08712, 0.02966), (0.6, 0.08055, 0.02953), (0.8, 0.07074, 0.02882), (1.0, 0.06358, 0.02789),
    (1.25, 0.05687, 0.02666), (1.5, 0.05175, 0.02547), (2.0, 0.04447, 0.02345), (3.0, 0.03581, 0.02057),
    (4.0, 0.03079, 0.01870), (5.0, 0.02751, 0.01740), (6.0, 0.02522, 0.01647), (8.0, 0.02225, 0.01525),
    (10.0, 0.02045, 0.01450),
)  # fmt: skip
"""Energy, mu/rho, mu_en/rho of dry air: NIST, typed from memory, unconfirmed."""
TUNGSTEN = (
    (0.08, 7.810), (0.1, 4.438), (0.15, 1.581), (0.2, 0.7844), (0.3, 0.3238), (0.4, 0.1925), (0.5, 0.1378),
    (0.6, 0.1093), (0.8, 0.08066), (1.0, 0.06618), (1.25, 0.05577), (1.5, 0.05000), (2.0, 0.04433), (3.0, 0.04075),
    (4.0, 0.04038), (5.0, 0.04103), (6.0, 0.04210), (8.0, 0.04472),
)  # fmt: skip
ALUMINIUM = (
    (0.08, 0.2018), (0.1, 0.1704), (0.15, 0.1378), (0.2, 0.1223), (0.3, 0.1042), (0.4, 0.09276), (0.5, 0.08445),
    (0.6, 0.07802), (0.8, 0.06841), (1.0, 0.06146), (1.25, 0.05496), (1.5, 0.05006), (2.0, 0.04324), (3.0, 0.03541),
    (4.0, 0.03106), (5.0, 0.02836), (6.0, 0.02655), (8.0, 0.02437),
)  # fmt: skip

STEP_MEV = 0.1
FIRST_MEV = 0.1
VARIAN_6MV = (5.76, 1.222, 5.147, -1.186)
"""Ee, C1, C2, C3 of the Varian 6 MV beam (BEAM model of Sheikh-Bagheri and Rogers, Med Phys 29:391, 2002): Ali and
Rogers, Phys Med Biol 57:31 (2012), table 5."""
FFF_C2 = 2.95
"""C2 of the unflattened beam, all else equal: chosen (see CARD.md, Spectra)."""


def energy_fluence(energy: Array, ee: float, c1: float, c2: float, c3: float) -> Array:
    """Ali and Rogers 2012, function 12: thin-target bremsstrahlung behind C1^2 g/cm2 of tungsten and C2^2 of aluminium,
    as differential energy fluence in any scale."""
    x = energy / ee
    thin = (1 + c3 * x + x**2) * (np.log(ee * (ee - energy) / energy + 1.65) - 0.5)
    filters = [
        np.exp(-thickness * loglog(energy, table)) for thickness, table in ((c1**2, TUNGSTEN), (c2**2, ALUMINIUM))
    ]
    return np.asarray(np.clip(thin, 0, None) * filters[0] * filters[1])


def loglog(energy: Array, rows: tuple[tuple[float, float], ...]) -> Array:
    table = np.array(rows)
    return np.asarray(np.exp(np.interp(np.log(energy), np.log(table[:, 0]), np.log(table[:, 1]))))


def spectrum(c2: float) -> tuple[Array, Array]:
    """Bin centres and photons in each bin (each bin the mean of 20 points of psi/E), to the end point of 5.76 MeV."""
    ee, c1, _, c3 = VARIAN_6MV
    edges = np.arange(FIRST_MEV, ee + STEP_MEV / 2, STEP_MEV)
    centres = (edges[1:] + edges[:-1]) / 2
    inside = centres[:, None] + STEP_MEV * (np.arange(20) / 20 - 0.475)
    inside = np.minimum(inside, ee - 1e-6)
    photons = (energy_fluence(inside.ravel(), ee, c1, c2, c3).reshape(inside.shape) / inside).mean(axis=1)
    return centres[photons > 0], photons[photons > 0] / photons.sum()


def write(name: str, header: dict[str, str], columns: dict[str, Array]) -> None:
    lines = [f"# {key}: {value}" for key, value in header.items()] + [",".join(columns)]
    lines += [",".join(f"{value:.5g}" for value in row) for row in zip(*columns.values(), strict=True)]
    (HERE / name).write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    energy, total = water.TOTAL[:, 0], water.TOTAL[:, 1]
    head = {"format": "couchside-attenuation-1", "source": NIST, "units": "MeV and cm2/g"}
    used = {"energy_mev": energy, "total": total, "without_coherent": water.photon_partials(energy).sum(axis=0)}
    note = "without_coherent as in XCOM to 1 MeV, above it total less coherent (models/kernels/water.py)"
    absorbed = {"energy_absorption": np.array(WATER_ABSORPTION)}
    write("water.csv", {**head, "material": "liquid water", "note": note}, {**used, **absorbed})
    air = np.array(AIR)
    note = "typed from memory, unconfirmed; without_coherent takes water's share of coherent scattering times 0.98"
    share = 1 - 0.98 * (1 - np.interp(air[:, 0], energy, used["without_coherent"] / total))
    columns = {"energy_mev": air[:, 0], "total": air[:, 1], "without_coherent": air[:, 1] * share}
    write("air.csv", {**head, "material": "dry air", "note": note}, {**columns, "energy_absorption": air[:, 2]})
    source = "Ali and Rogers, Phys Med Biol 57:31 (2012), function 12"
    for name, c2, note in (
        (
            "spectrum_6mv.csv",
            VARIAN_6MV[2],
            "table 5, Varian 6 MV, flattened: C1 1.222, C2 5.147, C3 -1.186, Ee 5.76 MeV",
        ),
        ("spectrum_6mv_fff.csv", FFF_C2, f"as Varian 6 MV with C2 {FFF_C2}: chosen, not published; see CARD.md"),
    ):
        centres, photons = spectrum(c2)
        head = {"format": "couchside-spectrum-1", "source": source, "note": note}
        sys.stdout.write(f"{name}: mean energy {centres @ photons:.3f} MeV, fluence-weighted\n")
        write(name, head, {"energy_mev": centres, "fluence": photons})


if __name__ == "__main__":
    main()
