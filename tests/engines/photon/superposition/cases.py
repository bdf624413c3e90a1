"""A 6 MV head from the shipped point kernels and spectrum, and small media, that these tests share."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.grid import Grid
from engines.photon.dose import Medium
from engines.photon.frame import beam_frame
from engines.photon.photon_data import load_attenuation, load_spectrum
from engines.photon.point_kernels import load_point_kernels
from engines.photon.raster import Raster
from engines.photon.superposition.dose import SuperpositionDose
from engines.photon.superposition.incidence import Exposure
from engines.photon.superposition.kernel import from_data
from engines.photon.superposition.model import SuperpositionModel

TABLES = Path(__file__).resolve().parents[4] / "models" / "kernels"


@cache
def _data():
    return from_data(
        load_spectrum(TABLES / "spectrum_6mv.csv"),
        load_attenuation(TABLES / "water.csv"),
        load_point_kernels(TABLES / "water_point_kernels.npz"),
    )


def point_source(**changes: Any) -> SuperpositionModel:
    """A bare 6 MV point source: flat, without head scatter, electrons or softening."""
    spectrum, kernel = _data()
    flat: dict[str, Any] = {
        "spectrum": spectrum,
        "kernel": kernel,
        "softening_per_deg": (0.0, 0.0, 0.0),
        "profile_radius_mm": np.array([0.0, 500.0]),
        "profile_relative": np.array([1.0, 1.0]),
        "source_fwhm_mm": 0.0,
        "extra_focal": None,
        "contamination": None,
    }
    return SuperpositionModel(**{**flat, **changes})


def box(
    half_mm: tuple[float, float, float], spacing_mm: float, density: float = 1.0, *, middle_mm: float = 0.0
) -> Medium:
    """Uniform box; its middle is `middle_mm` towards +y (down a beam of gantry 0) of the LPS origin."""
    nx, ny, nz = (round(2 * h / spacing_mm) for h in half_mm)
    first = [-(n - 1) * spacing_mm / 2 for n in (nx, ny, nz)]
    grid = Grid((first[0], first[1] + middle_mm, first[2]), (spacing_mm,) * 3, (nz, ny, nx))
    return Medium(grid, np.full(grid.shape, density, np.float32))


def rectangle(
    half_u_mm: float, half_v_mm: float, *, gantry_deg: float = 0.0, weight: float = 1.0, **angles: float
) -> Exposure:
    def draw(raster: Raster) -> NDArray[np.float32]:
        u, v = np.array([half_u_mm]), np.array([half_v_mm])
        return np.asarray(weight * raster.coverage("v", -v, v).T @ raster.coverage("u", -u, u), np.float32)

    return Exposure(beam_frame((0, 0, 0), gantry_deg, **angles), draw, (-half_u_mm, half_u_mm, -half_v_mm, half_v_mm))


def square(half_mm: float, **options: float) -> Exposure:
    return rectangle(half_mm, half_mm, **options)


def dose(
    medium: Medium, *exposures: Exposure, model: SuperpositionModel | None = None, **options: Any
) -> NDArray[np.float32]:
    return SuperpositionDose(model or point_source(), medium, **options).calculate(list(exposures))


def axis(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Along y through the middle: the mean of the four columns that meet there, or of the single one."""
    z, x = (slice((n - 1) // 2, n // 2 + 1) for n in (values.shape[0], values.shape[2]))
    return values[z, :, x].mean(axis=(0, 2), dtype=np.float64)
