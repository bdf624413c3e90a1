"""Regions as contours: traced from voxels, grown and shrunk, interpolated, edited slice by slice, compared."""

from engines.contouring.compare import RegionChange, compare
from engines.contouring.trace import Traced, trace

__all__ = ["RegionChange", "Traced", "compare", "trace"]
