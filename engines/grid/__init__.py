from engines.grid.grid import Grid
from engines.grid.voxels import VoxelSet

__all__ = ["Grid", "VoxelSet"]
