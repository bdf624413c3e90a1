"""A segmentation network on the image of a case."""

from __future__ import annotations

import numpy as np

from appliance.contracts import Case, Image
from appliance.errors import EvaluationError
from appliance.evaluation.image_context.network_file import SegmentationNetwork
from engines.errors import EngineError
from engines.grid import Grid, VoxelSet
from engines.segmentation import segment

AROUND_MM = 20.0
"""The image is cut to the patient with this much around (chosen: networks saw air around patients, not rooms)."""
Box = tuple[tuple[int, int, int], tuple[int, int, int]]


def segment_case(case: Case, network: SegmentationNetwork, *, threads: int = 0) -> dict[str, VoxelSet]:
    """As `segment_image`."""
    return segment_image(case.image, case.external.voxels, network, threads=threads)


def segment_image(
    image: Image, external: VoxelSet, network: SegmentationNetwork, *, threads: int = 0
) -> dict[str, VoxelSet]:
    """Voxels on the image grid of every label (TG-263 name), empty where the network finds none. external: the patient
    on it.

    Raises EvaluationError for an image that the network is not made for (modality, spacing) or that it fails on,
    ModelError for weights that were altered."""
    grid = image.grid
    if image.modality != network.modality:
        raise EvaluationError(
            f"the network {network.name} is made for {network.modality} and the image is {image.modality}; name "
            "another network"
        )
    low, high = network.image_spacing_mm
    beyond = [step for step in grid.spacing_mm if not low <= step <= high]
    if beyond:
        raise EvaluationError(
            f"the image has a spacing of {beyond[0]:g} mm and the network {network.name} is made for {low:g} to "
            f"{high:g} mm; name another network"
        )
    box = around_patient(external, grid)
    cut = grid.cropped(*box)
    inner = tuple(slice(start, stop) for start, stop in zip(*box, strict=True))
    opened = network.open(threads=threads)
    try:
        found = segment(image.hu[inner], cut, opened)
    except EngineError as error:
        raise EvaluationError(f"the network {network.name} cannot segment this image: {error}") from error
    return {name: _placed(voxels, cut, grid, box) for name, voxels in found.items()}


def around_patient(external: VoxelSet, grid: Grid) -> Box:
    """First and last voxel (z, y, x) of the patient with AROUND_MM around, within the image; all of it without an
    outline."""
    if external.empty:
        return (0, 0, 0), grid.shape
    lower, upper = [], []
    for axis, places in enumerate(np.unravel_index(external.index, grid.shape)):
        margin = int(np.ceil(AROUND_MM / grid.spacing_mm[2 - axis]))
        lower.append(max(0, int(places.min()) - margin))
        upper.append(min(grid.shape[axis], int(places.max()) + 1 + margin))
    return (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2])


def _placed(voxels: VoxelSet, cut: Grid, grid: Grid, box: Box) -> VoxelSet:
    """Voxels of the cut image on the whole one; their order stays."""
    z, y, x = (place + low for place, low in zip(np.unravel_index(voxels.index, cut.shape), box[0], strict=True))
    return VoxelSet(np.ravel_multi_index((z, y, x), grid.shape).astype(np.int32), voxels.fraction)
