"""What the network found against what is contoured: overlap, surface distance, what is missing, left against right.

A network is no reference: every finding says that a person has to look, and the thresholds are the author's choice or
the network file's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, Finding, Outcome, Severity
from appliance.contracts.image_context import ImageContext, OrganAgreement
from appliance.errors import EvaluationError
from appliance.evaluation.image_context.network_file import SegmentationNetwork
from appliance.evaluation.image_context.run import segment_case
from engines.grid import Grid, VoxelSet
from engines.overlap import dice
from engines.segmentation import surface_distance_95_mm

Mask = NDArray[np.bool_]
HALF = 0.5
SMALLEST_CC = 0.5
"""Author's choice: less than this of an organ is noise of a network."""
LEAST_CROSSED = 0.3
"""Author's choice: overlap with the other side's organ below which sides are not called swapped."""
SOURCE = "author's choice: a segmentation network as a second look at the contours"
AGREE, MISSING, UNSEEN, SIDES = "image.agreement", "image.missing", "image.unseen", "image.sides"
TITLES = {
    AGREE: ("Contours beside what a network sees", Severity.WARN),
    MISSING: ("Organs that a network sees and nobody contoured", Severity.INFO),
    UNSEEN: ("Contoured organs that a network does not see", Severity.WARN),
    SIDES: ("Sides of paired organs", Severity.STOP),
}


def image_context(case: Case, network: SegmentationNetwork | None, *, threads: int = 0) -> ImageContext:
    """Without a network, or with one that is not made for this image, findings say that nothing was tested and why.
    Raises ModelError for weights that were altered."""
    if network is None:
        return untested("", "", "no segmentation network is configured ([evaluation] segmentation)")
    try:
        seen = segment_case(case, network, threads=threads)
    except EvaluationError as error:
        return untested(network.name, network.sha256, str(error.fields["reason"]))
    drawn = {s.tg263: s.voxels for s in case.structures if s.tg263 in seen and not s.voxels.empty}
    organs = tuple(_agreement(name, seen[name], drawn.get(name), case.image.grid, network) for name in sorted(seen))
    crossed = _crossed(seen, drawn, case.image.grid)
    return ImageContext(network.name, network.sha256, organs, _findings(organs, crossed, network))


def _agreement(
    name: str, seen: VoxelSet, drawn: VoxelSet | None, grid: Grid, network: SegmentationNetwork
) -> OrganAgreement:
    cc = grid.voxel_volume_cc
    partial = name in network.partial
    overlap = distance = None
    if drawn is not None:
        found, contoured = joint_masks(seen, drawn, grid)
        if partial and contoured.any():
            slices = np.flatnonzero(contoured.any(axis=(1, 2)))
            kept = slice(int(slices[0]), int(slices[-1]) + 1)
            found, contoured = found[kept], contoured[kept]
        if found.any() and contoured.any():
            overlap = dice(found, contoured)
            x, y, z = grid.spacing_mm
            distance = surface_distance_95_mm(found, contoured, (z, y, x))
    return OrganAgreement(
        structure=name,
        segmented_cc=seen.volume_cc(cc),
        contoured_cc=None if drawn is None else drawn.volume_cc(cc),
        dice=overlap,
        distance_95_mm=distance,
        within_slices=partial,
    )


def joint_masks(a: VoxelSet, b: VoxelSet, grid: Grid) -> tuple[Mask, Mask]:
    """Both as masks (z, y, x) in the bounding box of both together; voxels with at least half inside."""
    places = [np.array(np.unravel_index(v.index[v.fraction >= HALF], grid.shape)) for v in (a, b)]
    every = np.hstack(places)
    if every.size == 0:
        return np.zeros((0, 0, 0), np.bool_), np.zeros((0, 0, 0), np.bool_)
    low, shape = every.min(axis=1), every.max(axis=1) - every.min(axis=1) + 1
    made = []
    for own in places:
        mask = np.zeros(tuple(shape.tolist()), np.bool_)
        mask[tuple(own - low[:, None])] = True
        made.append(mask)
    return made[0], made[1]


def _crossed(seen: Mapping[str, VoxelSet], drawn: Mapping[str, VoxelSet], grid: Grid) -> tuple[str, ...]:
    """Sentences on contours that overlap the other side's organ more than their own."""
    found = []
    for name, contour in drawn.items():
        other = _other_side(name)
        if other not in seen:
            continue
        own = dice(*joint_masks(seen[name], contour, grid))
        crossed = dice(*joint_masks(seen[other], contour, grid))
        if crossed >= LEAST_CROSSED and crossed > own:
            found.append(f"{name} is drawn where the network sees {other} (Dice {crossed:.2f}, own side {own:.2f})")
    return tuple(found)


def _other_side(name: str) -> str:
    """TG-263 writes sides as a last part, _L or _R."""
    return {"_L": f"{name[:-2]}_R", "_R": f"{name[:-2]}_L"}.get(name[-2:], "")


def _findings(
    organs: tuple[OrganAgreement, ...], crossed: tuple[str, ...], network: SegmentationNetwork
) -> tuple[Finding, ...]:
    apart, missing, unseen = [], [], []
    for organ in organs:
        said = f"{organ.structure} {organ.segmented_cc:.1f} cc"
        if organ.contoured_cc is None:
            if organ.segmented_cc >= SMALLEST_CC:
                missing.append(said)
        elif organ.dice is None or organ.distance_95_mm is None:
            unseen.append(f"{organ.structure} ({organ.contoured_cc:.1f} cc contoured)")
        elif organ.dice < network.dice_least or organ.distance_95_mm > network.distance_most_mm:
            apart.append(f"{organ.structure} Dice {organ.dice:.2f}, 95 % distance {organ.distance_95_mm:.1f} mm")
    compared = [organ for organ in organs if organ.dice is not None]
    limits = f"Dice at least {network.dice_least:g}, 95 % distance at most {network.distance_most_mm:g} mm"
    passed = {
        AGREE: f"{len(compared)} organs ({limits})",
        MISSING: "no organ of the network is missing",
        UNSEEN: "all contoured organs that the network knows are seen",
        SIDES: "no organ lies on the other side",
    }
    told = {AGREE: apart, MISSING: missing, UNSEEN: unseen, SIDES: list(crossed)}
    return tuple(_finding(key, told[key], passed[key], compared=bool(compared)) for key in TITLES)


def _finding(key: str, told: list[str], passed: str, *, compared: bool) -> Finding:
    title, severity = TITLES[key]
    if told:
        return Finding(key, title, severity, Outcome.FOUND, "; ".join(told), SOURCE)
    if key in (AGREE, SIDES) and not compared:
        why = "no organ is both contoured and seen by the network"
        return Finding(key, title, severity, Outcome.NOT_TESTED, why, SOURCE)
    return Finding(key, title, severity, Outcome.PASSED, passed, SOURCE)


def untested(name: str, sha256: str, why: str) -> ImageContext:
    """Findings that nothing was tested, and why."""
    findings = tuple(
        Finding(key, title, severity, Outcome.NOT_TESTED, why, SOURCE) for key, (title, severity) in TITLES.items()
    )
    return ImageContext(name, sha256, (), findings)
