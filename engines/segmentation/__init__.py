"""Any segmentation network in ONNX, run tile by tile on a voxel grid. Arrays in, arrays out (docs/evaluation/
image_context.md has the tensor contract)."""

from engines.segmentation.agreement import surface_distance_95_mm
from engines.segmentation.network import Network, open_network
from engines.segmentation.spec import Intensity, NetworkSpec
from engines.segmentation.whole_image import segment

__all__ = [
    "Intensity",
    "Network",
    "NetworkSpec",
    "open_network",
    "segment",
    "surface_distance_95_mm",
]
