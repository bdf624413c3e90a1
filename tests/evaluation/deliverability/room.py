"""A round patient in a long image, and beams around him, drawn so that every distance can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.contracts import Beam, Case, Contour, ControlPoint, Image, Jaws, Plan, Structure, StructureKind
from engines.grid import Grid, VoxelSet

GRID = Grid((-297.5, -297.5, -497.5), (5.0, 5.0, 5.0), (200, 120, 120))
"""From -500 to 500 mm along z: longer than a head of 400 mm reaches."""
NOTHING = VoxelSet(np.empty(0, np.int32), np.empty(0, np.float32))
BORDERS = (-20.0, -10.0, 0.0, 10.0, 20.0)


def ring(radius_mm: float, centre_mm=(0.0, 0.0), z_mm=(-400.0, 400.0)) -> tuple[Contour, ...]:
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    points = np.column_stack([np.cos(angle), np.sin(angle)]) * radius_mm + np.array(centre_mm)
    return tuple(Contour(float(z), points) for z in np.arange(z_mm[0], z_mm[1] + 1, 10.0))


def slab(low, high, z_mm=(-400.0, 400.0)) -> tuple[Contour, ...]:
    points = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]], float)
    return tuple(Contour(float(z), points) for z in np.arange(z_mm[0], z_mm[1] + 1, 10.0))


def structure(number: int, name: str, kind: StructureKind, contours: tuple[Contour, ...]) -> Structure:
    return Structure(number, name, name, kind, contours, NOTHING)


def room(case: Case, external: tuple[Contour, ...], *supports: Structure) -> Case:
    """A case with this outline and these supports, lying in GRID."""
    body = structure(1, "External", StructureKind.EXTERNAL, external)
    image = Image(GRID, np.zeros((1, 1, 1), np.int16))
    return replace(case, image=image, structures=(body, *supports))


def point(mu: float, gantry: float, couch: float = 0.0, tips=(-20.0, 20.0)) -> ControlPoint:
    a, b = ((tip,) * (len(BORDERS) - 1) for tip in tips)
    return ControlPoint(mu, gantry, 0.0, couch, Jaws(-100, 100, -100, 100), a, b)


def beam(*points: ControlPoint, number: int = 1, isocentre=(0.0, 0.0, 0.0)) -> Beam:
    return Beam(number, f"B{number}", "M", 6.0, "STANDARD", isocentre, 1000.0, 600.0, BORDERS, points)


def static(gantry: float, couch: float = 0.0, number: int = 1, isocentre=(0.0, 0.0, 0.0)) -> Beam:
    return beam(point(0, gantry, couch), point(100, gantry, couch), number=number, isocentre=isocentre)


def plan(*beams: Beam, fractions: int = 25) -> Plan:
    return Plan("test", beams, fractions, "HFS")
