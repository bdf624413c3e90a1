"""The image as a segmentation network sees it, compared with the contours of the case."""

from appliance.evaluation.image_context.compare import image_context, untested
from appliance.evaluation.image_context.network_file import SegmentationNetwork, load_network
from appliance.evaluation.image_context.run import segment_case, segment_image

__all__ = ["SegmentationNetwork", "image_context", "load_network", "segment_case", "segment_image", "untested"]
