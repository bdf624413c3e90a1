"""A fraction's image brought onto another anatomy where no registration object says how, and judged before use."""

from __future__ import annotations

from appliance.case.today.levels import measures
from appliance.contracts import Case
from appliance.contracts.accumulation import Placed
from appliance.contracts.anatomy import Measure, Verdict
from appliance.errors import NotAccumulated
from engines.errors import EngineError
from engines.registration import Scan, quality_of, register_deformable, register_rigid

LEAST_UNCERTAINTY_MM = 3.0
"""As of registration objects (session_accumulate): inverse consistency can be better than the truth."""

ORIGIN = "deformable registration made for this sum"
NOT_SEEN = "The image of {date} was registered for this sum, and no person has looked at it"
LOOK = "The image of {date}: {title} is {value:.2f}{unit}, look at its registration"


def placed_from_images(onto: Case, case: Case) -> Placed:
    """A `Register`: rigid, then deformable, with the structures' outlines of the body as masks. The uncertainty is what
    the registration the other way disagrees by (95 % of the body), 3 mm at least. Raises NotAccumulated where the
    images do not fit by an action level at which a case stops."""
    fixed, moving = _scan(onto), _scan(case)
    date = case.identity.study_date or "an unknown day"
    try:
        rigid = register_rigid(fixed.hu, fixed.grid, moving.hu, moving.grid)
        field = register_deformable(fixed, moving, start=rigid)
        backward = register_deformable(moving, fixed, start=rigid.inverse)
        quality = quality_of(fixed, moving, field, start=rigid, backward=backward)
    except EngineError as error:
        raise NotAccumulated(f"the image of {date} cannot be brought onto this anatomy: {error}") from error
    found = list(measures(quality))
    if stops := [item for item in found if item.verdict is Verdict.STOP]:
        said = "; ".join(f"{item.title} {item.value:.2f}{_unit(item)}" for item in stops)
        raise NotAccumulated(f"the image of {date} does not fit this anatomy ({said}); give a registration object")
    notes = [
        LOOK.format(date=date, title=item.title, value=item.value, unit=_unit(item))
        for item in found
        if item.verdict is Verdict.LOOK
    ]
    uncertainty_mm = max(LEAST_UNCERTAINTY_MM, quality.inverse_95_mm)
    return Placed(field, uncertainty_mm, ORIGIN, (NOT_SEEN.format(date=date), *notes))


def _scan(case: Case) -> Scan:
    return Scan.inside(case.image.hu, case.image.grid, case.external.voxels.mask(case.image.grid.shape))


def _unit(item: Measure) -> str:
    return f" {item.unit}" if item.unit else ""
