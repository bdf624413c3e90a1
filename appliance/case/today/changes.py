"""What changed beyond set-up: today's structures against the reference's, laid on today by the rigid motion alone."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.case.today.reading import Day
from appliance.contracts import Structure
from appliance.contracts.anatomy import StructureChange
from engines.registration import RigidTransform


def changes_of(
    structures: Sequence[Structure], today: Day, before: Day, rigid: RigidTransform
) -> tuple[StructureChange, ...]:
    return ()
