"""Where the contours of a structure come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """RECEIVED with today's image; PROPAGATED from the reference; SEGMENTED on today's image; DERIVED from another
    structure by a rule; EDITED by a person, whatever it was before."""

    RECEIVED = "received"
    PROPAGATED_RIGID = "propagated_rigid"
    PROPAGATED_DEFORMABLE = "propagated_deformable"
    SEGMENTED = "segmented"
    DERIVED = "derived"
    EDITED = "edited"


@dataclass(frozen=True)
class ContourOrigin:
    """by: the person who edited, otherwise the method; '' unknown. at_utc: ISO 8601 to the second with a final Z, ''
    unknown. from_: what it was made of: the structure set that was propagated, the rule that was followed, of an edited
    structure the kind it had before, of a received one what its sender says of it."""

    kind: Origin
    by: str = ""
    at_utc: str = ""
    from_: str = ""
