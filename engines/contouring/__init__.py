"""Regions as contours: traced from voxels, grown and shrunk, interpolated, edited slice by slice, compared."""

from engines.contouring.compare import RegionChange, compare
from engines.contouring.interpolate import loops_between
from engines.contouring.margins import grown, reached_slices, shrunk
from engines.contouring.trace import Traced, trace

__all__ = ["RegionChange", "Traced", "compare", "grown", "loops_between", "reached_slices", "shrunk", "trace"]
