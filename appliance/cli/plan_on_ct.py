"""A plan and the CT it is calculated on, for `dose` and `check`: which series, which structures, and do they fit."""

from __future__ import annotations

from appliance.case import ImageSeries, StructureReading, read_image, read_structures
from appliance.contracts import Image, Plan, Received
from appliance.errors import IncompleteCase, InconsistentCase, MachineLimitViolated
from appliance.planning import check_plan, load_machine, misplaced_isocentres, missing_anatomy
from engines.grid import VoxelSet


def series_of(received: tuple[Received, ...], frame_of_reference_uid: str) -> tuple[Received, ...]:
    """The slices of the one CT series, or of the one in the plan's frame of reference. Raises RefusedInput."""
    images: dict[str, list[Received]] = {}
    for item in received:
        if item.modality == "CT":
            images.setdefault(item.series_instance_uid, []).append(item)
    if not images:
        raise IncompleteCase("there is no CT in the folder", remedy="Give the folder of the CT with --ct")
    matching = [own for own in images.values() if own[0].frame_of_reference_uid == str(frame_of_reference_uid)]
    found = matching if len(images) > 1 else list(images.values())
    if len(found) != 1:
        raise InconsistentCase(
            f"there are {len(images)} CT series and the plan's frame of reference does not pick one of them",
            what="The folder",
            remedy="Put the one CT the dose is wanted on into a folder of its own",
            rule="dose.ct",
        )
    return tuple(found[0])


def read_series(slices: tuple[Received, ...]) -> ImageSeries:
    return read_image([item.path for item in slices])


def structure_set_of(received: tuple[Received, ...], slices: tuple[Received, ...]) -> Received | None:
    """The newest structure set drawn on these slices."""
    images = {item.sop_instance_uid for item in slices}
    sets = [item for item in received if item.modality == "RTSTRUCT" and not images.isdisjoint(item.references)]
    return max(sets, key=lambda item: (item.made_at, item.received_at), default=None)


def structures_on(
    received: tuple[Received, ...], slices: tuple[Received, ...], series: ImageSeries
) -> StructureReading | None:
    found = structure_set_of(received, slices)
    return None if found is None else read_structures(found.path, series)


def check_fits_image(plan: Plan, image: Image, external: VoxelSet | None) -> tuple[str, ...]:
    """Notes on beams that touch a cut border. Raises InconsistentCase, naming beam and control point, for an isocentre
    outside the image and for a beam that seriously enters through missing tissue."""
    if misplaced := misplaced_isocentres(plan, image.grid):
        raise InconsistentCase(
            misplaced[0],
            what="The plan",
            remedy="Check that the plan was made on this CT, or on one in the same coordinates",
            rule="dose.isocentre",
        )
    missing = missing_anatomy(plan, image, external)
    for beam in missing:
        if beam.is_serious:
            raise InconsistentCase(
                beam.sentence,
                what="The plan",
                remedy="Use a CT that shows the whole body along every beam, or other beam directions",
                rule="dose.missing-anatomy",
            )
    return tuple(f"{beam.sentence[0].upper()}{beam.sentence[1:]}" for beam in missing)


def check_within_machine(plan: Plan, machine: str) -> tuple[str, ...]:
    """A note where the plan is for another machine than the configured one, whose limits then say nothing. Raises
    MachineLimitViolated, naming control points, where it is for this one and breaks its limits."""
    limits = load_machine(machine)
    foreign = sorted({beam.machine or "no named machine" for beam in plan.beams} - {limits.treatment_machine})
    if foreign:
        planned = ", ".join(foreign)
        return (
            f"Machine limits were not checked: the plan is for {planned}, the limits are of {limits.treatment_machine}",
        )
    facts = check_plan(plan, machine)
    if not facts.deliverable:
        raise MachineLimitViolated("; ".join(facts.violations[:3]))
    return ()
