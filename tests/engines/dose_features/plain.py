"""The features in plain NumPy, slow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float32]
SAD, PIXEL, PIXELS = 1000.0, 5.0, 80
STEP, STEPS, ACROSS = 5.0, 128, 40
WISHES = ((0.005, 0.02, 1.0), (0.02, 0.05, 1.0), (0.008, 0.4, 2.0))


def distance_mm(inside: NDArray[np.bool_], spacing: tuple[float, float, float], limit: float) -> F:
    squared = np.where(inside, np.float32(0), np.float32(limit**2))
    for axis, step in enumerate(spacing):
        moved = np.moveaxis(squared, axis, 0)
        found = moved.copy()
        for offset in range(1, min(len(moved) - 1, int(limit / step)) + 1):
            added = np.float32((offset * step) ** 2)
            np.minimum(found[offset:], moved[:-offset] + added, out=found[offset:])
            np.minimum(found[:-offset], moved[offset:] + added, out=found[:-offset])
        squared = np.moveaxis(found, 0, axis)
    return np.sqrt(np.minimum(squared, np.float32(limit**2)))


class Beams:
    """Of points (n, 3) in mm (inferior, posterior, left) from the isocentre: place in the map in pixels, weight."""

    def __init__(self, at: F, gantry_deg: tuple[float, ...], body: F, spacing: F, centre: F) -> None:
        columns, weights = [], []
        for degrees in gantry_deg:
            t = float(np.float32(degrees) * np.float32(np.pi / 180))
            towards, across = np.float32([-np.cos(t), np.sin(t)]), np.float32([np.sin(t), np.cos(t)])
            s, u = (np.float32(at[:, 2] * np.float64(v[1]) + at[:, 1] * v[0]) for v in (towards, across))
            grown = np.float32(1) / (np.float32(SAD) - s) * np.float32(SAD)
            u, w = u * grown, at[:, 0] * grown
            depth = _sample(
                _path(body, spacing, centre, towards, across),
                ((STEPS - 1) / 2 - s / STEP, w / (2 * PIXEL) + (ACROSS - 1) / 2, u / (2 * PIXEL) + (ACROSS - 1) / 2),
                border=True,
            )
            half = np.float32(PIXEL * PIXELS / 2)
            columns.append((np.stack([w, u]) / half + np.float32(1)) * np.float32(PIXELS / 2))
            weights.append(np.exp(-0.0045 * depth) * (1 - np.exp(-0.25 * (depth + 2))) * grown**2)
        self.column, self.weight = np.stack(columns).astype(np.float32), np.stack(weights).astype(np.float32)

    def taken(self, kept: NDArray[np.bool_]) -> Beams:
        part = object.__new__(Beams)
        part.column, part.weight = self.column[:, :, kept], self.weight[:, kept]
        return part

    def shadow(self, target: NDArray[np.bool_]) -> F:
        maps = np.zeros((len(self.weight), PIXELS + 2, PIXELS + 2), np.float32)
        for out, (w, u) in zip(maps, self.column[:, :, target].astype(int), strict=True):
            known = (w >= 0) & (w < PIXELS) & (u >= 0) & (u < PIXELS)
            out[w[known] + 1, u[known] + 1] = 1
        around = [np.roll(maps, (a, b), (1, 2)) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        grown: F = np.max(around, axis=0)[:, 1:-1, 1:-1]
        return grown

    def corners(self, beam: int) -> list[tuple[NDArray[np.intp], F]]:
        w, u = self.column[beam] - np.float32(0.5)
        inside = (w > -1) & (w < PIXELS) & (u > -1) & (u < PIXELS)
        w, u = np.clip(w, -1, PIXELS - 1e-3), np.clip(u, -1, PIXELS - 1e-3)
        low_w, low_u = np.floor(w), np.floor(u)
        at = ((low_w + 1) * (PIXELS + 2) + low_u + 1).astype(np.intp)
        p, q, weight = w - low_w, u - low_u, self.weight[beam] * inside
        return [
            (at, (1 - p) * (1 - q) * weight), (at + 1, (1 - p) * q * weight),
            (at + PIXELS + 2, p * (1 - q) * weight), (at + PIXELS + 3, p * q * weight),
        ]  # fmt: skip

    def each(self, fluence: F) -> F:
        """(beams, n)."""
        maps = np.pad(spread(fluence), ((0, 0), (1, 1), (1, 1))).reshape(len(fluence), -1)
        return np.stack([sum(m[at] * w for at, w in self.corners(b)) for b, m in enumerate(maps)]).astype(np.float32)


def _path(body: F, spacing: F, centre: F, towards: F, across: F) -> F:
    s = np.float32(STEP) * (STEPS / 2 - 0.5 - np.arange(STEPS, dtype=np.float32))
    lateral = np.float32(2 * PIXEL) * (np.arange(ACROSS, dtype=np.float32) + 0.5 - ACROSS / 2)
    scale = ((SAD - s) / SAD)[:, None, None]
    u, w = lateral[None, None, :] * scale, lateral[None, :, None] * scale
    s = s[:, None, None]
    place = np.broadcast_arrays(w, towards[0] * s + across[0] * u, towards[1] * s + across[1] * u)
    inside = _sample(body, [(p + c) / h for p, c, h in zip(place, centre, spacing, strict=True)], border=False)
    return STEP * (np.cumsum(inside, axis=0, dtype=np.float32) - 0.5 * inside)


def _sample(values: F, place, border: bool) -> F:
    if border:
        place = [np.clip(p, 0, n - 1) for p, n in zip(place, values.shape, strict=True)]
    values = np.pad(values, 1)
    place = [np.clip(p + 1, 0, n - 1) for p, n in zip(place, values.shape, strict=True)]
    low = [np.minimum(p.astype(int), n - 2) for p, n in zip(place, values.shape, strict=True)]
    part = [p - i for p, i in zip(place, low, strict=True)]
    out = np.zeros(part[0].shape, np.float32)
    for corner in np.ndindex(2, 2, 2):
        share = np.prod([q if c else 1 - q for q, c in zip(part, corner, strict=True)], axis=0)
        out += share * values[tuple(i + c for i, c in zip(low, corner, strict=True))]
    return out


def _kernel() -> tuple[F, F]:
    made = []
    for sigma in (3.0, 22.0):
        apart = (np.arange(PIXELS)[:, None] - np.arange(PIXELS)[None]) * PIXEL
        reach = np.arange(-PIXELS, PIXELS + 1) * PIXEL
        k = np.exp(-0.5 * (apart / sigma) ** 2) / np.exp(-0.5 * (reach / sigma) ** 2).sum()
        made.append(np.where(abs(apart) <= 3 * sigma + PIXEL, k, 0).astype(np.float32))
    return made[0], made[1]


NARROW, WIDE = _kernel()


def spread(fluence: F) -> F:
    done: F = np.float32(0.88) * (NARROW @ fluence @ NARROW) + np.float32(0.12) * (WIDE @ fluence @ WIDE)
    return done


def hashed(shape: tuple[int, int, int], index: NDArray[np.intp]) -> F:
    c, b, a = np.unravel_index(index, (shape[0], shape[2], shape[1]))[0], index % shape[2], index // shape[2] % shape[1]
    a, b, c = (v.astype(np.uint64) for v in (a, abs(2 * b - (shape[2] - 1)), c))
    mixed = a * np.uint64(73856093) ^ b * np.uint64(19349663) ^ c * np.uint64(83492791)
    mixed = (mixed ^ (mixed >> np.uint64(13))) * np.uint64(1274126177)
    return ((mixed ^ (mixed >> np.uint64(16))) & np.uint64(0xFFFFFF)).astype(np.float32) / np.float32(0x1000000)


def quick_plans(beams: Beams, asked: F, kinds: NDArray[np.uint8], drawn: F) -> list[F]:
    """Fluence (beams, w, u) of each plan. kinds bits: 1 organ, 2 by mean, 4 by maximum."""
    target = asked > 0
    share = np.where(target, 0.5, np.where(kinds & 1, 0.3, 0.1)).astype(np.float32)
    kept = drawn < share
    seen, near = beams.taken(kept), beams.shadow(target)
    weight = 1 / share[kept]
    weight = weight / weight[target[kept]].sum()
    start = near * (asked[target].mean() / beams.each(near).sum(0)[target].mean())
    corners = [seen.corners(b) for b in range(len(near))]
    goal, wanted, kinds = asked[kept] * np.float32(1.02), target[kept], kinds[kept]
    made = []
    for tissue, mean, maximum in WISHES:
        outside = tissue * ~wanted + mean * ((kinds & 2) > 0) * ~wanted
        above = maximum * ((kinds & 4) > 0)
        x, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
        for step in range(40):
            maps = np.pad(spread(np.maximum(x, 0)), ((0, 0), (1, 1), (1, 1))).reshape(len(x), -1)
            dose = np.sum([f[at] * w for f, c in zip(maps, corners, strict=True) for at, w in c], axis=0)
            off = dose - goal
            slope = np.where(off > 0, 1.0, 2.0) * wanted * off + outside * dose + above * np.maximum(dose - 30, 0)
            slope = 2 * weight * slope
            back = [sum(np.bincount(at, w * slope, maps.shape[1]) for at, w in c) for c in corners]
            g = np.reshape(back, (len(x), PIXELS + 2, PIXELS + 2))[:, 1:-1, 1:-1].astype(np.float32)
            g = spread(g) * (x >= 0)
            m, v = 0.9 * m + np.float32(0.1) * g, 0.9 * v + np.float32(0.1) * g * g
            part = 1 - 0.9 ** (step + 1)
            rate = (1 - step / 40) + 0.02
            x = (x - np.float32(rate / part) * m / (np.sqrt(v) / np.float32(part**0.5) + np.float32(1e-8))).astype("f4")
        made.append(np.maximum(x, 0))
    return made
