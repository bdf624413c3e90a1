"""What changed beyond set-up: today's structures against the reference's, laid on today by the rigid motion alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.contracts import Structure, StructureKind
from appliance.contracts.anatomy import ReferenceToday, StructureChange
from appliance.contracts.origin import Origin
from engines.contouring import RegionChange, compare
from engines.errors import EngineError

TARGET_VOLUME, ORGAN_VOLUME = 0.20, 0.30
"""Share by which a volume may change before it is flagged. Chosen: twice and three times what two persons who draw the
same structure differ by, so that it is the patient who changed, or the registration that failed."""

SHIFT_MM, SURFACE_MM = 5.0, 8.0
"""Movement of a centre, and 95th percentile of the distance of the surfaces, before they are flagged. Chosen: 5 mm is
the usual margin of a PTV, and what moves further is not covered by it."""

LEAST_CC = 0.1
"""Below this a structure is a few voxels, whose volume says nothing in percent."""


def changes_of(
    structures: Sequence[Structure], laid: ReferenceToday, similarity: Mapping[str, float]
) -> tuple[StructureChange, ...]:
    """structures: today's, on the grid that the reference is laid on. similarity: correlation of both images around
    each structure, by TG-263 name, where it was measured."""
    known = {item.tg263: item for item in laid.structures}
    changes = []
    for structure in structures:
        former = known.get(structure.tg263)
        if former is None or structure.kind not in (StructureKind.TARGET, StructureKind.ORGAN):
            continue
        try:
            change = compare(former.voxels, structure.voxels, laid.image.grid)
        except EngineError:  # too thin for a voxel that is half inside: nothing to compare
            continue
        name, alike = structure.tg263, similarity.get(structure.tg263)
        origin = Origin.RECEIVED if structure.origin is None else structure.origin.kind
        changes.append(_told(name, origin, change, alike, is_target=structure.kind is StructureKind.TARGET))
    return tuple(changes)


def _told(
    name: str, origin: str, change: RegionChange, similarity: float | None, *, is_target: bool
) -> StructureChange:
    flags = []
    grown = change.after_cc / change.before_cc - 1 if change.before_cc > LEAST_CC else 0.0
    limit = TARGET_VOLUME if is_target else ORGAN_VOLUME
    if abs(grown) > limit:
        flags.append(f"{name} is {abs(grown):.0%} {'larger' if grown > 0 else 'smaller'} than in the reference")
    x, y, z = change.centroid_shift_mm
    if (moved := (x * x + y * y + z * z) ** 0.5) > SHIFT_MM:
        flags.append(f"{name} lies {moved:.1f} mm from where set-up alone would bring it")
    if change.p95_mm > SURFACE_MM:
        flags.append(f"The surface of {name} lies up to {change.p95_mm:.1f} mm (95 %) from the reference's")
    return StructureChange(
        structure=name,
        origin=origin,
        reference_cc=change.before_cc,
        today_cc=change.after_cc,
        centroid_mm=change.centroid_shift_mm,
        surface_mean_mm=change.mean_mm,
        surface_95_mm=change.p95_mm,
        dice=change.dice,
        similarity=similarity,
        flags=tuple(flags),
    )
