from engines.grid.grid import Grid
from engines.grid.margins import Margins
from engines.grid.rasterise import rasterise
from engines.grid.resample import resample
from engines.grid.voxels import VoxelSet

__all__ = ["Grid", "Margins", "VoxelSet", "rasterise", "resample"]
