"""Distances of the gantry from patient, supports and couch over every beam's whole way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Beam, Case, Plan
from appliance.contracts.collimation import followed_deg
from appliance.contracts.deliverability import Clearance, Nearest
from appliance.contracts.machine_view import MachineSolids, MachineView
from appliance.evaluation.deliverability.room import Room, Thing, room_of
from engines.clearance import TURN_STEP_DEG, Turn, bore_distances, gantry_axes, head_distances, swept

Array = NDArray[np.float64]
FULL_TURN_DEG = 360.0
NO_SOLIDS = "the machine file has no table 'clearance': nobody has said how large the gantry is"
NO_CASE = "without the patient's outline nothing can be said about collisions"


@dataclass(frozen=True, eq=False)
class _Place:
    """Where the distances of one beam are taken from."""

    isocentre_mm: tuple[float, float, float]
    turn: Turn
    position: str
    solids: MachineSolids

    def distances(self, thing: Thing) -> tuple[Array, NDArray[np.int64]]:
        beam_axes, axes = gantry_axes(self.turn.gantry_deg, self.turn.couch_deg, self.position)
        offsets = thing.points_mm - np.array(self.isocentre_mm)
        if self.solids.shape == "bore":
            return bore_distances(offsets, axes, radius_mm=self.solids.radius_mm)
        return head_distances(offsets, beam_axes, axes, face_mm=self.solids.face_mm, radius_mm=self.solids.radius_mm)


def clearance(plan: Plan, view: MachineView, case: Case | None) -> Clearance:
    """Judged only with a case and a machine whose solids are known; else `limits` says which is missing."""
    if view.solids is None or case is None or not plan.beams:
        return Clearance(judged=False, limits=(NO_SOLIDS if view.solids is None else NO_CASE,))
    room = room_of(case, view.solids)
    nearest = [one for beam in plan.beams for one in _of_beam(beam, room, case.patient_position, view.solids)]
    angles, profile = _whole_turn(plan, room, case.patient_position, view.solids)
    limits = [*room.limits, *_unscanned(plan, room, view.solids)]
    if view.solids.unconfirmed:
        limits.append(f"nobody has confirmed {', '.join(view.solids.unconfirmed)}: measure the machine before use")
    return Clearance(
        judged=True,
        nearest=tuple(nearest),
        whole_turn_mm=float(profile.min()),
        profile_deg=tuple(angles.tolist()),
        profile_mm=tuple(profile.round(1).tolist()),
        limits=tuple(limits),
    )


def _of_beam(beam: Beam, room: Room, position: str, solids: MachineSolids) -> list[Nearest]:
    points = beam.control_points
    turn = swept(
        followed_deg(np.array([point.gantry_deg for point in points])),
        followed_deg(np.array([point.couch_deg for point in points])),
    )
    place, found = _Place(beam.isocentre_mm, turn, position, solids), []
    for thing in room.things:
        distance, index = place.distances(thing)
        at = int(distance.argmin())
        x, y, z = thing.points_mm[index[at]].round(1).tolist()
        found.append(
            Nearest(
                beam=beam.number,
                what=thing.what,
                distance_mm=float(distance[at]),
                margin_mm=thing.margin_mm,
                gantry_deg=float(turn.gantry_deg[at] % FULL_TURN_DEG),
                couch_deg=float(turn.couch_deg[at] % FULL_TURN_DEG),
                control_point=int(turn.control_point[at]),
                point_mm=(x, y, z),
            )
        )
    return found


def _whole_turn(plan: Plan, room: Room, position: str, solids: MachineSolids) -> tuple[Array, Array]:
    """(gantry_deg, distance_mm) of the nearest thing, the least over the isocentres and couch angles of the beams."""
    gantry = np.arange(0.0, FULL_TURN_DEG, TURN_STEP_DEG)
    least = np.full(gantry.size, np.inf)
    setups = {(beam.isocentre_mm, point.couch_deg) for beam in plan.beams for point in beam.control_points[:1]}
    for isocentre, couch in sorted(setups):
        turn = Turn(np.zeros(gantry.size, np.int64), gantry, np.full(gantry.size, couch))
        for thing in room.things:
            least = np.minimum(least, _Place(isocentre, turn, position, solids).distances(thing)[0])
    return gantry, least


def _unscanned(plan: Plan, room: Room, solids: MachineSolids) -> list[str]:
    """Where the image cuts the patient off within reach of the head, or anywhere in a bore."""
    found = []
    reach = solids.radius_mm if solids.shape == "head" else np.inf
    for name, unit, edge in room.cut:
        beyond = min(edge - float(np.dot(unit, beam.isocentre_mm)) for beam in plan.beams)
        if name in ("superior", "inferior") and beyond >= reach:
            continue
        if name in ("superior", "inferior"):
            reaches = f"the head reaches {reach:.0f} mm" if np.isfinite(reach) else "the bore goes on"
            found.append(
                f"the image cuts the patient off {beyond:.0f} mm {name} of the isocentre, and {reaches}: whether the "
                "rest of the patient keeps clear is unknown"
            )
        else:
            found.append(f"the image cuts the patient off at its {name} side: what lies beyond is unknown")
    return found
