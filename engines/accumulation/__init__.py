"""Doses of several fractions brought to one anatomy and added up."""

from engines.accumulation.summing import Banded, Delivered, GridSum, VoxelSum, in_voxels, on_grid

__all__ = ["Banded", "Delivered", "GridSum", "VoxelSum", "in_voxels", "on_grid"]
