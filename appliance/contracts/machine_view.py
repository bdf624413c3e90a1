"""What the evaluation may know of a treatment machine: solids that stand for it, and the seconds that a plan's
intervals take. Made by planning, which reads the machine files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MachineSolids:
    """shape: 'head', a cylinder of radius_mm around the beam axis whose face lies face_mm from the isocentre; or
    'bore', a cylinder of radius_mm around the axis of the gantry (face_mm 0). The couch top is a slab couch_width_mm
    wide and couch_thickness_mm thick under the patient. patient_margin_mm, couch_margin_mm: less than this is too near.
    unconfirmed: figures that nobody has measured."""

    shape: Literal["head", "bore"]
    radius_mm: float
    face_mm: float
    couch_width_mm: float
    couch_thickness_mm: float
    patient_margin_mm: float
    couch_margin_mm: float
    unconfirmed: tuple[str, ...] = ()


@dataclass(frozen=True)
class MachineView:
    """name: of the machine file. solids: None where the file has none. interval_s: for each beam of the plan the
    seconds of each interval between control points; empty for a beam that the machine cannot deliver. travel_s: between
    beams, 0 where it is not known."""

    name: str
    title: str
    solids: MachineSolids | None
    interval_s: tuple[tuple[float, ...], ...]
    travel_s: float = 0.0
