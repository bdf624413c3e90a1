"""Photon and electron transport in unbounded water for the point kernels, compiled by Numba (a tool dependency only).

Class II Monte Carlo: Moller collisions above `CUT_DELTA` and bremsstrahlung above `CUT_BREMS` are particles, elastic
collisions beyond a small deflection are single events (mixed simulation with a random hinge: Fernandez-Varea, Mayol,
Baro, Salvat, Nucl Instrum Meth B 73:447, 1993, on a screened Rutherford cross section), the rest is continuous.
Lengths in cm, energies in MeV. A particle is (energy, x, y, z, u, v, w, kind, scatter); kind 0 photon, 1 electron,
2 positron; scatter 0 = set in motion by the first interaction (or its electrons), 1 = everything else.
"""

# Numba knows NumPy's legacy random generator only, and compiled functions pass state as arguments.
# ruff: noqa: NPY002, PLR0913, PLR0917

from __future__ import annotations

import math

import numpy as np
from numba import njit

M = 0.51099895
CUT_PHOTON = 0.010
CUT_DELTA = 0.050
CUT_BREMS = 0.010
FEWEST_CM = 0.002
"""Electrons with less range than this are absorbed where they are (chosen: a twelfth of the innermost shell)."""
REJECT = 0.03
"""Electrons of scattered photons also if their range is below this share of their distance from the origin (chosen:
below the width of a shell and of an angle bin)."""
STACK = 4096


@njit(cache=True)
def _turn(u, v, w, cos, phi):
    """Unit vector (u, v, w) deflected by the polar angle of `cos` and the azimuth `phi`."""
    sin = math.sqrt(max(0.0, 1 - cos * cos))
    a, b = sin * math.cos(phi), sin * math.sin(phi)
    side = u * u + v * v
    if side < 1e-20:
        return a, b, math.copysign(cos, w * cos)
    r = math.sqrt(side)
    x = u * cos + (a * w * u - b * v) / r
    y = v * cos + (a * w * v + b * u) / r
    z = w * cos - a * r
    n = math.sqrt(x * x + y * y + z * z)
    return x / n, y / n, z / n


@njit(cache=True)
def _score(tally, radius, x, y, z, energy, scatter):
    """Adds energy to the region of a point. Index -1 of the radius axis (the last) collects what is beyond."""
    r = math.sqrt(x * x + y * y + z * z)
    shell = np.searchsorted(radius, r, side="right") - 1
    angles = tally.shape[1]
    cos = 1.0 if r == 0 else z / r
    angle = int(math.acos(min(1.0, max(-1.0, cos))) / math.pi * angles)
    tally[scatter, min(angle, angles - 1), min(shell, tally.shape[2] - 1)] += energy


@njit(cache=True)
def _at(table, log_energy):
    """Row of `table` (columns: quantities) at log10(E / 0.01), 100 rows a decade, linear."""
    place = max(0.0, min(log_energy * 100.0, table.shape[0] - 1.001))
    i = int(place)
    return i, place - i


@njit(cache=True)
def compton(energy):
    """Klein-Nishina: energy and cosine of the scattered photon (composition of Butcher and Messel, Nucl Phys 20:15,
    1960: 1/e and e, with rejection)."""
    k = energy / M
    low = 1 / (1 + 2 * k)
    first = -math.log(low)
    second = 0.5 * (1 - low * low)
    while True:
        if np.random.random() * (first + second) < first:
            e = math.exp(-first * np.random.random())
        else:
            e = math.sqrt(low * low + (1 - low * low) * np.random.random())
        t = (1 - e) / (k * e)
        sin2 = t * (2 - t)
        if np.random.random() < 1 - e * sin2 / (1 + e * e):
            return e * energy, 1 - t


@njit(cache=True)
def _forward(beta):
    """Cosine from 1 / (1 - beta cos)^2: the leading term of pair, photoelectron and bremsstrahlung directions."""
    s = 2 * np.random.random() - 1
    return (s + beta) / (1 + beta * s)


@njit(cache=True)
def _beta(energy):
    return math.sqrt(energy * (energy + 2 * M)) / (energy + M)


@njit(cache=True)
def _push(stack, top, energy, place, direction, kind, scatter):
    if top < STACK:
        p = stack[top]
        p[0], p[1], p[2], p[3] = energy, place[0], place[1], place[2]
        p[4], p[5], p[6], p[7], p[8] = direction[0], direction[1], direction[2], kind, scatter
    return top + 1


@njit(cache=True)
def interact(stack, top, energy, place, d, table, tally, radius, generation):
    """A photon interacts; its products go on the stack. `generation` 0: their electrons are primary. Returns top."""
    i, f = _at(table, math.log10(energy / 0.01))
    incoherent = table[i, 0] + f * (table[i + 1, 0] - table[i, 0])
    photo = table[i, 1] + f * (table[i + 1, 1] - table[i, 1])
    pair = table[i, 2] + f * (table[i + 1, 2] - table[i, 2])
    pick = np.random.random() * (incoherent + photo + pair)
    phi = 2 * math.pi * np.random.random()
    if pick < incoherent:
        left, cos = compton(energy)
        given = energy - left
        top = _push(stack, top, left, place, _turn(d[0], d[1], d[2], cos, phi), 0, 1)
        momentum = math.sqrt(given * (given + 2 * M))
        along = (energy - left * cos) / momentum if momentum > 0 else 1.0
        direction = _turn(d[0], d[1], d[2], min(1.0, along), phi + math.pi)
        return _push(stack, top, given, place, direction, 1, generation)
    if pick < incoherent + photo:
        direction = _turn(d[0], d[1], d[2], _forward(_beta(energy)), phi)
        return _push(stack, top, energy, place, direction, 1, generation)
    share = (energy - 2 * M) * np.random.random()
    other = energy - 2 * M - share
    first = _turn(d[0], d[1], d[2], _forward(_beta(share)), phi)
    top = _push(stack, top, share, place, first, 1, generation)
    second = _turn(d[0], d[1], d[2], _forward(_beta(other)), phi + math.pi)
    return _push(stack, top, other, place, second, 2, generation)


@njit(cache=True)
def _moller(energy):
    """Energy that a Moller collision gives to the slower electron, CUT_DELTA..E/2 (Moller, Ann Phys 14:531, 1932)."""
    low = CUT_DELTA / energy
    a = (energy / (energy + M)) ** 2
    while True:
        x = 1 / (1 / low - np.random.random() * (1 / low - 2.0))
        q = x / (1 - x)
        if np.random.random() * 2.25 < 1 + q * q - (1 - a) * q + a * x * x:
            return x * energy


@njit(cache=True)
def _event(stack, top, energy, place, d, scatter, which):
    """A hard collision of an electron. which: 0 Moller, 1 bremsstrahlung. Returns (top, energy left, direction)."""
    phi = 2 * math.pi * np.random.random()
    if which == 0:
        given = _moller(energy)
        left = energy - given
        total = energy * (energy + 2 * M)
        cos = math.sqrt(given * (energy + 2 * M) / (energy * (given + 2 * M)))
        top = _push(stack, top, given, place, _turn(d[0], d[1], d[2], cos, phi), 1, scatter)
        cos = math.sqrt(left * (energy + 2 * M) / (energy * (left + 2 * M))) if total > 0 else 1.0
        return top, left, _turn(d[0], d[1], d[2], min(1.0, cos), phi + math.pi)
    low = CUT_BREMS / energy
    while True:
        y = low ** np.random.random()
        if np.random.random() < 1 - y + 0.75 * y * y:
            break
    top = _push(stack, top, y * energy, place, _turn(d[0], d[1], d[2], _forward(_beta(energy)), phi), 0, 1)
    return top, energy * (1 - y), d


@njit(cache=True)
def electron(stack, top, energy, place, d, kind, scatter, table, tally, radius):
    """Slows an electron or positron down to rest. Columns of `table` from 3: restricted stopping power, 1/path between
    hard elastic, 1/path Moller, 1/path bremsstrahlung, screening A, hard limit mu_c, 1/soft transport path, range."""
    x, y, z = place
    while True:
        i, f = _at(table, math.log10(max(energy, 1e-4) / 0.01))
        reach = table[i, 10] + f * (table[i + 1, 10] - table[i, 10])
        away = math.sqrt(x * x + y * y + z * z)
        if energy < 0.01 or reach < FEWEST_CM or (scatter == 1 and reach < REJECT * away):
            break
        loss = table[i, 3] + f * (table[i + 1, 3] - table[i, 3])
        hard = table[i, 4] + f * (table[i + 1, 4] - table[i, 4])
        delta = table[i, 5] + f * (table[i + 1, 5] - table[i, 5])
        brems = table[i, 6] + f * (table[i + 1, 6] - table[i, 6])
        soft = table[i, 9] + f * (table[i + 1, 9] - table[i, 9])
        step = -math.log(1 - np.random.random()) / (hard + delta + brems)
        longest = 0.08 * energy / loss
        event = step < longest
        step = min(step, longest)
        lost = min(energy, step * loss)
        hinge = step * np.random.random()
        where = step * np.random.random()
        nx, ny, nz = x + hinge * d[0], y + hinge * d[1], z + hinge * d[2]
        if where < hinge:
            _score(tally, radius, x + where * d[0], y + where * d[1], z + where * d[2], lost, scatter)
        mean = step * soft
        bend = -mean * math.log(1 - np.random.random())
        d = _turn(d[0], d[1], d[2], max(-1.0, 1 - bend), 2 * math.pi * np.random.random())
        rest = where - hinge
        if rest >= 0:
            _score(tally, radius, nx + rest * d[0], ny + rest * d[1], nz + rest * d[2], lost, scatter)
        rest = step - hinge
        x, y, z = nx + rest * d[0], ny + rest * d[1], nz + rest * d[2]
        energy -= lost
        if event and energy > 0.01:
            pick = np.random.random() * (hard + delta + brems)
            if pick < hard:
                a, limit = table[i, 7], table[i, 8]
                low = 1 / (limit + a)
                mu = 1 / (low - np.random.random() * (low - 1 / (1 + a))) - a
                d = _turn(d[0], d[1], d[2], 1 - 2 * mu, 2 * math.pi * np.random.random())
            elif pick < hard + delta:
                if energy > 2 * CUT_DELTA:
                    top, energy, d = _event(stack, top, energy, (x, y, z), d, scatter, 0)
            elif energy > CUT_BREMS:
                top, energy, d = _event(stack, top, energy, (x, y, z), d, scatter, 1)
    _score(tally, radius, x, y, z, max(energy, 0.0), scatter)
    if kind == 2:
        w = 2 * np.random.random() - 1
        first = _turn(0.0, 0.0, 1.0, w, 2 * math.pi * np.random.random())
        top = _push(stack, top, M, (x, y, z), first, 0, 1)
        top = _push(stack, top, M, (x, y, z), (-first[0], -first[1], -first[2]), 0, 1)
    return top


@njit(cache=True)
def histories(count, seed, energy, table, radius, angles, limit_cm):
    """(2, angles, shells + 1): MeV imparted in each region by `count` photons forced to interact at the origin; the
    last shell is everything beyond the outermost radius. Photons past `limit_cm` are given up there."""
    np.random.seed(seed)
    tally = np.zeros((2, angles, radius.size))
    stack = np.zeros((STACK, 9))
    for _ in range(count):
        top = interact(stack, 0, energy, (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), table, tally, radius, 0)
        while top > 0:
            top -= 1
            e, x, y, z, u, v, w, kind, scatter = stack[top]
            if kind != 0:
                top = electron(stack, top, e, (x, y, z), (u, v, w), int(kind), int(scatter), table, tally, radius)
                continue
            if e < CUT_PHOTON:
                _score(tally, radius, x, y, z, e, 1)
                continue
            i, f = _at(table, math.log10(e / 0.01))
            mu = 0.0
            for column in range(3):
                mu += table[i, column] + f * (table[i + 1, column] - table[i, column])
            path = -math.log(1 - np.random.random()) / mu
            x, y, z = x + path * u, y + path * v, z + path * w
            if x * x + y * y + z * z > limit_cm * limit_cm:
                _score(tally, radius, x, y, z, e, 1)
                continue
            top = interact(stack, top, e, (x, y, z), (u, v, w), table, tally, radius, 1)
    return tally
