"""Tables of photons: attenuation coefficients and beam spectra, read from CSV files with their source on top.

Both kinds of file begin with `# key: value` lines, of which `format` and `source` are required, then one line of column
names, then numbers. Energies are in MeV, coefficients in cm2/g.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError

ATTENUATION_FORMAT = "couchside-attenuation-1"
SPECTRUM_FORMAT = "couchside-spectrum-1"


@dataclass(frozen=True, eq=False)
class Attenuation:
    """Mass attenuation of one material at `energy_mev` (n,), all (n,) in cm2/g: `total` with coherent scattering,
    `without_coherent` (what TERMA and the point kernels use), `energy_absorption` (mu_en/rho)."""

    energy_mev: NDArray[np.float64]
    total: NDArray[np.float64]
    without_coherent: NDArray[np.float64]
    energy_absorption: NDArray[np.float64]
    source: str

    def at(self, energy_mev: NDArray[np.floating], column: str = "without_coherent") -> NDArray[np.float64]:
        """`column` at other energies, interpolated in log-log as NIST recommends for these tables. Raises EngineError
        outside the table."""
        energy = np.asarray(energy_mev, np.float64)
        if not bool(np.all((energy >= self.energy_mev[0]) & (energy <= self.energy_mev[-1]))):
            raise EngineError(f"attenuation is tabulated from {self.energy_mev[0]} to {self.energy_mev[-1]} MeV only")
        values: NDArray[np.float64] = getattr(self, column)
        return np.asarray(np.exp(np.interp(np.log(energy), np.log(self.energy_mev), np.log(values))))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photon spectrum of a beam on its axis: `energy_mev` (n,) bin centres, `edges_mev` (n + 1,), and `fluence` (n,),
    photons in each bin, adding up to one."""

    energy_mev: NDArray[np.float64]
    edges_mev: NDArray[np.float64]
    fluence: NDArray[np.float64]
    source: str

    @property
    def mean_energy_mev(self) -> float:
        """Mean energy of a photon (fluence-weighted)."""
        return float(self.fluence @ self.energy_mev)


def load_attenuation(path: Path) -> Attenuation:
    """Reads columns energy_mev, total, without_coherent, energy_absorption. Raises EngineError if they are not there,
    not positive, or energies do not grow."""
    source, columns = _read(path, ATTENUATION_FORMAT)
    names = ("energy_mev", "total", "without_coherent", "energy_absorption")
    table = Attenuation(**{name: columns[name] for name in names}, source=source)
    if not bool(np.all(table.energy_absorption <= table.without_coherent)):
        raise EngineError(f"{path.name}: more energy is absorbed than attenuated")
    return table


def load_spectrum(path: Path) -> Spectrum:
    """Reads columns energy_mev (bin centres, equally spaced) and fluence. Raises EngineError if they are not there or
    not positive."""
    source, columns = _read(path, SPECTRUM_FORMAT)
    energy, fluence = columns["energy_mev"], columns["fluence"]
    step = energy[1] - energy[0]
    if not np.allclose(np.diff(energy), step, rtol=1e-6) or energy[0] < step / 2 - 1e-9:
        raise EngineError(f"{path.name}: energy bins must be equally wide and begin at or above zero")
    edges = np.append(energy - step / 2, energy[-1] + step / 2)
    return Spectrum(energy, edges, fluence / fluence.sum(), source)


def _read(path: Path, wanted: str) -> tuple[str, dict[str, NDArray[np.float64]]]:
    try:
        lines = path.read_text("utf-8").splitlines()
        header = dict(line[1:].split(":", 1) for line in lines if line.startswith("#") and ":" in line)
        header = {key.strip(): value.strip() for key, value in header.items()}
        rows = list(csv.DictReader(line for line in lines if line and not line.startswith("#")))
        columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
        kind, source, energy = header["format"], header["source"], columns["energy_mev"]
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError(f"{path.name} is not a usable table ({type(error).__name__}: {error})") from error
    if kind != wanted:
        raise EngineError(f"{path.name}: format '{kind}' is not {wanted}")
    missing = _COLUMNS[wanted] - columns.keys()
    if missing:
        raise EngineError(f"{path.name} lacks the columns {', '.join(sorted(missing))}")
    if energy.size < 2 or not bool(np.all(np.diff(energy) > 0)):
        raise EngineError(f"{path.name}: energies must grow")
    if not all(bool(np.all((values > 0) & np.isfinite(values))) for values in columns.values()):
        raise EngineError(f"{path.name}: every number must be positive and finite")
    return source, columns


_COLUMNS = {
    ATTENUATION_FORMAT: {"energy_mev", "total", "without_coherent", "energy_absorption"},
    SPECTRUM_FORMAT: {"energy_mev", "fluence"},
}
