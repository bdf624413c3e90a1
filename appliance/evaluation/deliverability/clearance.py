"""Distances of the gantry from patient, supports and couch over every beam's whole way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, Case, Plan, StructureKind
from appliance.contracts.collimation import followed_deg
from appliance.contracts.deliverability import Clearance, Nearest
from appliance.contracts.machine_view import MachineSolids, MachineView
from appliance.evaluation.deliverability.room import Room, Thing, room_of
from engines.clearance import TURN_STEP_DEG, Turn, bore_distances, gantry_axes, head_distances, swept

Array = NDArray[np.float64]
FULL_TURN_DEG = 360.0
ROUND_DEG = np.arange(0.0, FULL_TURN_DEG, TURN_STEP_DEG)
NO_SOLIDS = "the machine file has no table 'clearance': nobody has said how large the gantry is"
ENDS = ("superior", "inferior")
CUT_AT_SIDES = "the image cuts the patient off at its"
NO_CASE = "without the patient's outline nothing can be said about collisions"


@dataclass(frozen=True, eq=False)
class _Seen:
    """One thing from one isocentre: distance_mm, index of its nearest point (m,), at the positions asked for."""

    thing: Thing
    distance_mm: Array
    index: NDArray[np.int64]


def clearance(plan: Plan, view: MachineView, case: Case | None) -> Clearance:
    """Judged only with a case and a machine whose solids are known; else `limits` says which is missing."""
    if view.solids is None or case is None or not _has_outline(case):
        return Clearance(judged=False, limits=(NO_SOLIDS if view.solids is None else NO_CASE,))
    room = room_of(case, view.solids)
    nearest: list[Nearest] = []
    profile = np.full(ROUND_DEG.size, np.inf)
    for isocentre in dict.fromkeys(beam.isocentre_mm for beam in plan.beams):
        beams = [beam for beam in plan.beams if beam.isocentre_mm == isocentre]
        found, least = _from_isocentre(beams, room, case.patient_position, view.solids)
        nearest += found
        profile = np.minimum(profile, least)
    limits = list(room.limits)
    if view.solids.unconfirmed:
        limits.append(f"nobody has confirmed {', '.join(view.solids.unconfirmed)}: measure the machine before use")
    return Clearance(
        judged=True,
        nearest=tuple(nearest),
        whole_turn_mm=float(profile.min()),
        profile_deg=tuple(ROUND_DEG.tolist()),
        profile_mm=tuple(profile.round(1).tolist()),
        limits=tuple(limits),
        unseen=tuple(_unseen(plan, room, view.solids)),
    )


def _has_outline(case: Case) -> bool:
    return any(s.kind is StructureKind.EXTERNAL and (s.contours or not s.voxels.empty) for s in case.structures)


def _from_isocentre(
    beams: Sequence[Beam], room: Room, position: str, solids: MachineSolids
) -> tuple[list[Nearest], Array]:
    """(nearest places of each beam, least distance at ROUND_DEG over the beams' couch angles). All positions are asked
    for at once: what is worked out for one gantry angle serves the others."""
    turns = [_swept(beam) for beam in beams]
    couches = sorted({beam.control_points[0].couch_deg for beam in beams})
    gantry = np.concatenate([*(turn.gantry_deg for turn in turns), *(ROUND_DEG for _ in couches)])
    couch = np.concatenate([*(turn.couch_deg for turn in turns), *(np.full(ROUND_DEG.size, c) for c in couches)])
    beam_axes, axes = gantry_axes(gantry, couch, position)
    seen = []
    for thing in room.things:
        offsets = thing.points_mm - np.array(beams[0].isocentre_mm)
        if solids.shape == "bore":
            distance, index = bore_distances(offsets, axes, radius_mm=solids.radius_mm)
        else:
            distance, index = head_distances(
                offsets, beam_axes, axes, face_mm=solids.face_mm, radius_mm=solids.radius_mm
            )
        seen.append(_Seen(thing, distance, index))
    found, start = [], 0
    for beam, turn in zip(beams, turns, strict=True):
        found += [_nearest(beam, turn, one, start) for one in seen]
        start += turn.gantry_deg.size
    least = np.min([one.distance_mm[start:] for one in seen], axis=0).reshape(len(couches), -1).min(axis=0)
    return found, np.asarray(least)


def _swept(beam: Beam) -> Turn:
    points = beam.control_points
    return swept(
        followed_deg(np.array([point.gantry_deg for point in points])),
        followed_deg(np.array([point.couch_deg for point in points])),
    )


def _nearest(beam: Beam, turn: Turn, seen: _Seen, start: int) -> Nearest:
    at = int(seen.distance_mm[start : start + turn.gantry_deg.size].argmin())
    x, y, z = seen.thing.points_mm[seen.index[start + at]].round(1).tolist()
    return Nearest(
        beam=beam.number,
        what=seen.thing.what,
        distance_mm=float(seen.distance_mm[start + at]),
        margin_mm=seen.thing.margin_mm,
        gantry_deg=float(turn.gantry_deg[at] % FULL_TURN_DEG),
        couch_deg=float(turn.couch_deg[at] % FULL_TURN_DEG),
        control_point=int(turn.control_point[at]),
        point_mm=(x, y, z),
    )


def _unseen(plan: Plan, room: Room, solids: MachineSolids) -> list[str]:
    """Where the image cuts the patient off within reach of the head, or anywhere in a bore: the sides in one sentence,
    each end of the image in another."""
    ends, sides = [], []
    reach = solids.radius_mm if solids.shape == "head" else np.inf
    reaches = f"the head reaches {reach:.0f} mm" if np.isfinite(reach) else "the bore goes on"
    for name, unit, edge in room.cut:
        beyond = min(edge - float(np.dot(unit, beam.isocentre_mm)) for beam in plan.beams)
        if name not in ENDS:
            sides.append(name)
        elif beyond < reach:
            ends.append(f"the image ends {beyond:.0f} mm {name} of the isocentre, and {reaches}")
    return [*([f"{CUT_AT_SIDES} {', '.join(sides)} side"] if sides else []), *ends]
