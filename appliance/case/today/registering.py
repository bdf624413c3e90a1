"""Both images brought onto each other: rigidly always, deformably where the contours are made of it."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.case.today.reading import Day
from appliance.case.today.rules import refusal
from appliance.contracts.progress import Progress
from engines.errors import EngineError
from engines.registration import DisplacementField, RigidTransform, register_rigid


@dataclass(frozen=True, eq=False)
class Registered:
    """Both take points of today to the reference. field: with the rigid motion in it; None where it was not asked for.
    method: of the deformable registration, '' without one."""

    rigid: RigidTransform
    field: DisplacementField | None
    method: str = ""


def registered(today: Day, reference: Day, progress: Progress, *, is_deformable: bool) -> Registered:
    """Raises InconsistentCase `day.no-overlap` where the images cannot be brought onto each other."""
    fixed, moving = today.inside_hu(), reference.inside_hu()
    try:
        progress("rigid registration", 0.0)
        rigid = register_rigid(fixed, today.series.image.grid, moving, reference.series.image.grid)
        if not is_deformable:
            return Registered(rigid, None)
        progress("deformable registration", 0.0)
        field = DisplacementField.of_rigid(rigid, today.series.image.grid)
    except EngineError as error:
        raise refusal("day.no-overlap", f"it cannot be brought onto the reference ({error})") from error
    return Registered(rigid, field)
