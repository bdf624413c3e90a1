"""Energy that a beam releases: depth tables of its spectrum and the fluence of its head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from engines.errors import EngineError
from engines.photon import _kernels
from engines.photon.convolution import INTERLEAVE, THREADS
from engines.photon.dose import Medium
from engines.photon.frame import BeamFrame
from engines.photon.raster import LARGEST_RASTER, Raster
from engines.photon.superposition.model import SuperpositionModel

Array = NDArray[np.float64]
Released = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Primary, scatter and electron dose, each (z, y, x)."""

DEPTH_STEP_MM = 1.0
LARGEST_DEPTH_MM = 1500.0
REACH_MM = 120.0
"""Released energy is followed this far beyond the field's edge on the isocentre plane; head scatter further out is
below 0.2 % of the axis (chosen)."""
NEAR_MM, RAMP_MM = 6.0, 12.0
"""What lies within this of the field's edge is near it, and the width over which near fades into far (chosen: penumbrae
end within NEAR_MM, and voxels of scatter are half as wide as the ramp)."""
SHARPEST = 0.4
"""Standard deviation of the sharpest edge that voxels sample, in voxels: its place then depends on where their centres
happen to lie, by 0.25 mm from one side to the other at 3 mm (0.46 with 0.3; 0.13 with 0.5, which blurs more)."""
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def depth_tables(model: SuperpositionModel) -> NDArray[np.float32]:
    """(steps, 2): primary and scatter energy released per mass at radiological depth i * DEPTH_STEP_MM, in units of the
    primary at the surface. Ahnesjo 1989: TERMA of each energy, attenuated by its own mu; beams harden on their way."""
    s = model.spectrum
    depth_cm = np.arange(0.0, LARGEST_DEPTH_MM + DEPTH_STEP_MM, DEPTH_STEP_MM) / 10
    released = s.fluence * s.energy_mev * s.attenuation_cm2_g * np.exp(-np.outer(depth_cm, s.attenuation_cm2_g))
    both = np.stack([released @ s.primary_share, released @ (1 - s.primary_share)], axis=1)
    return np.ascontiguousarray(both / both[0, 0], np.float32)


def raster_around(
    points_extent_mm: tuple[float, float, float, float],
    field_extent_mm: tuple[float, float, float, float],
    pitch_mm: float,
) -> Raster:
    """Covers the field, and the points within REACH_MM of it; pixel borders on multiples of the pitch. Extents are
    (u_min, u_max, v_min, v_max), mm. Raises EngineError if it would be absurd."""
    starts, counts = [], []
    for low, high in ((0, 1), (2, 3)):
        first = min(field_extent_mm[low], max(points_extent_mm[low], field_extent_mm[low] - REACH_MM)) - 2 * pitch_mm
        last = max(field_extent_mm[high], min(points_extent_mm[high], field_extent_mm[high] + REACH_MM)) + 2 * pitch_mm
        begin = int(np.floor(first / pitch_mm))
        count = int(np.ceil(last / pitch_mm)) - begin
        if not 2 <= count <= LARGEST_RASTER:
            raise EngineError(f"fluence raster of {count} pixels: the field lies too far from the beam axis")
        starts.append((begin + 0.5) * pitch_mm)
        counts.append(count)
    return Raster(starts[0], starts[1], pitch_mm, counts[0], counts[1])


def head_maps(
    model: SuperpositionModel, raster: Raster, fluence: NDArray[np.float32], sad_mm: float, *, sampling_mm: float
) -> NDArray[np.float32]:
    """Primary, extra-focal and electron fluence (nv, nu, 4) from an aperture's fluence (nv, nu).

    Each is the aperture seen from a Gaussian source: for one of sigma in a plane at distance z_f, an aperture at z_c
    and the isocentre at SAD, the fluence at u is that of the aperture (as projected from the target) blurred by
    sigma (1 - a) SAD / z_c and taken at a u SAD / z_c, with a = (z_c - z_f) / (SAD - z_f).
    sampling_mm: voxel size of the dose grid, see `primary_sigma_mm`."""
    sigma = primary_sigma_mm(model, sampling_mm)
    radius = np.hypot(raster.v_mm[:, None], raster.u_mm[None, :])
    maps = np.zeros((raster.nv, raster.nu, INTERLEAVE), np.float32)
    weight = model.extra_focal.weight if model.extra_focal else 0.0
    profile = np.interp(radius, model.profile_radius_mm, model.profile_relative)
    maps[..., 0] = (1 - weight) * profile * _blurred(raster, fluence, sigma, 1.0)
    if model.extra_focal:
        e = model.extra_focal
        a = (e.collimator_mm - e.distance_mm) / (sad_mm - e.distance_mm)
        width, scale = e.sigma_mm * (1 - a) * sad_mm / e.collimator_mm, a * sad_mm / e.collimator_mm
        maps[..., 1] = weight * _blurred(raster, fluence, width, scale)
    if model.contamination:
        maps[..., 2] = model.contamination.weight * _blurred(raster, fluence, model.contamination.sigma_mm, 1.0)
    return maps


def primary_sigma_mm(model: SuperpositionModel, sampling_mm: float) -> float:
    """Blur of the primary's edges in its map. Voxels add theirs: energy is released evenly in one and dose is the mean
    of one, each with the variance h^2 / 12 of a box; so the map gets what the source has beyond both, and at least
    SHARPEST voxels."""
    source, voxels = model.source_fwhm_mm / FWHM_PER_SIGMA, sampling_mm**2 / 6
    return float(np.sqrt(max(source**2 - voxels, (SHARPEST * sampling_mm) ** 2)))


def _blurred(raster: Raster, fluence: NDArray[np.float32], sigma_mm: float, scale: float) -> NDArray[np.float32]:
    """Pixel-wise constant fluence under a Gaussian, exactly, at `scale` times each node; nothing beyond the raster."""

    def along(centre_mm: Array) -> NDArray[np.float32]:
        edges = np.append(centre_mm - raster.pitch_mm / 2, centre_mm[-1] + raster.pitch_mm / 2)
        return np.diff(ndtr((edges[None, :] - scale * centre_mm[:, None]) / sigma_mm), axis=1).astype(np.float32)

    return np.asarray(along(raster.v_mm) @ fluence @ along(raster.u_mm).T, np.float32)


def near_and_far(
    raster: Raster, maps: NDArray[np.float32], field_extent_mm: tuple[float, float, float, float]
) -> tuple[tuple[Raster, NDArray[np.float32]], NDArray[np.float32]]:
    """Maps (nv, nu, 4) cut in two that add up: what lies in and around the field, on the part of the raster that it
    needs, and the rest. Between, one fades into the other over RAMP_MM, so that neither gets an edge."""
    u, v = (
        np.interp(at, [low - NEAR_MM - RAMP_MM, low - NEAR_MM, high + NEAR_MM, high + NEAR_MM + RAMP_MM], [0, 1, 1, 0])
        for at, low, high in ((raster.u_mm, *field_extent_mm[:2]), (raster.v_mm, *field_extent_mm[2:]))
    )
    window = (v[:, None] * u[None, :]).astype(np.float32)[..., None]
    (row, below), (column, beyond) = (_support(w) for w in (v, u))
    part = Raster(raster.u_mm[column], raster.v_mm[row], raster.pitch_mm, beyond - column, below - row)
    near = np.ascontiguousarray((maps * window)[row:below, column:beyond])
    return (part, near), np.ascontiguousarray(maps * (1 - window))


def _support(window: Array) -> tuple[int, int]:
    """First node, and one past the last, between which a window is not zero."""
    inside = np.flatnonzero(window)
    return max(int(inside[0]) - 1, 0), min(int(inside[-1]) + 2, window.size)


@dataclass(frozen=True, eq=False)
class Head:
    """One beam's head as it is drawn on a raster: what `head_maps` gives, and the model's depth tables."""

    model: SuperpositionModel
    frame: BeamFrame
    raster: Raster
    maps: NDArray[np.float32]
    tables: NDArray[np.float32]

    def _numbers(self) -> tuple[list[list[float]], list[float], list[float]]:
        """Frame, raster and head as the kernels take them."""
        frame, raster, extra, electrons = self.frame, self.raster, self.model.extra_focal, self.model.contamination
        axes = [list(frame.isocentre_mm), frame.ex.tolist(), frame.ey.tolist(), frame.ez.tolist()]
        head = [
            *self.model.softening_per_deg,
            extra.distance_mm if extra else 0.0,
            electrons.attenuation_per_mm if electrons else 0.0,
            DEPTH_STEP_MM,
        ]
        return axes, [raster.u0_mm, raster.v0_mm, raster.pitch_mm], head

    def release(self, matter: Medium, into: Released, *, threads: int = THREADS) -> None:
        """Adds what is released in every voxel of `matter` that is not empty to three arrays (z, y, x) of its grid."""
        axes, placed, head = self._numbers()
        grid, sad = matter.grid, self.frame.sad_mm
        done = _kernels.release_on_grid(
            matter.density, list(grid.origin_mm), list(grid.spacing_mm), axes, sad, self.maps, placed, self.tables,
            head, *into, threads,
        )  # fmt: skip
        if done:
            return
        index = np.flatnonzero(matter.density > 0)
        points = np.ascontiguousarray(grid.centres_mm(index), np.float32)
        depth = matter.depth_mm(self.frame, points, threads=threads)
        out = np.empty((index.size, len(into)), np.float32)
        _kernels.release_energy(points, depth, axes, sad, self.maps, placed, self.tables, head, out, threads)
        for part, column in zip(into, out.T, strict=True):
            part.reshape(-1)[index] += column
