from engines.grid.grid import Grid
from engines.grid.rasterise import rasterise
from engines.grid.resample import resample
from engines.grid.voxels import VoxelSet

__all__ = ["Grid", "VoxelSet", "rasterise", "resample"]
