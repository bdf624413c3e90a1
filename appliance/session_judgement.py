"""What evaluation has to be handed of machine and structure names to judge delivery and image. They meet here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.case.nomenclature import known_names
from appliance.config import AnatomyConfig, EvaluationConfig, PlanningConfig
from appliance.contracts import Case, GoalSet, Image, Plan
from appliance.contracts.anatomy import Segmenter
from appliance.contracts.deliverability import ComplexityFigures, Deliverability
from appliance.contracts.image_context import ImageContext
from appliance.errors import ConfigError, ModelError
from appliance.evaluation.deliverability import assess_deliverability
from appliance.evaluation.image_context import (
    SegmentationNetwork,
    image_context,
    load_network,
    segment_image,
    untested,
)
from appliance.planning import machine_view
from engines.grid import VoxelSet


def deliverability_of(
    config: PlanningConfig, case: Case | None, plan: Plan, goal_set: GoalSet, peers: Sequence[ComplexityFigures] = ()
) -> Deliverability:
    """Of a plan for the configured machine; MU/Gy by the goal set's highest prescription. peers: figures of earlier
    plans of this machine and technique. Raises ModelError, EvaluationError."""
    prescribed_gy = max((dose_gy for _, dose_gy in goal_set.prescription), default=0.0)
    view = machine_view(plan, config.machine)
    return assess_deliverability(plan, view, case, prescribed_gy, peers=peers)


def image_context_of(config: EvaluationConfig, case: Case) -> ImageContext:
    """What the configured network sees in the case's image. Without one, and with one that is missing, altered or not
    made for this image, findings say that nothing was tested and why: no plan fails for want of a second look."""
    if config.segmentation is None:
        return image_context(case, None)
    try:
        return image_context(case, network_of(config.segmentation))
    except ModelError as error:
        return untested(config.segmentation.stem, "", str(error.fields["reason"]))


def network_of(path: Path) -> SegmentationNetwork:
    """A network whose labels are names of the table of structure names. Raises ModelError."""
    return load_network(path, {known.tg263 for known in known_names().values()})


@dataclass(frozen=True)
class _Segmenter:
    network: SegmentationNetwork

    @property
    def name(self) -> str:
        return f"{self.network.name}@{self.network.sha256[:8]}"

    def __call__(self, image: Image, external: VoxelSet) -> dict[str, VoxelSet]:
        return segment_image(image, external, self.network)


def segmenter_of(anatomy: AnatomyConfig) -> Segmenter | None:
    """What contours organs of today's image, where one is configured. Raises ModelError, and ConfigError for an organ
    that it was not shown to draw better than propagation does."""
    if anatomy.segmentation is None:
        if anatomy.segmented:
            raise ConfigError("[anatomy] segmented names organs, and segmentation names no network that draws them")
        return None
    network = network_of(anatomy.segmentation)
    for organ in anatomy.segmented:
        if reason := network.why_propagated(organ):
            raise ConfigError(
                f"[anatomy] segmented names {organ}, which the network {network.name} is not to draw: {reason}. Take "
                "the organ out; its contours are then propagated"
            )
    return _Segmenter(network)
