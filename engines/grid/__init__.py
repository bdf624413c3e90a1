from engines.grid.extend import box_within, extended_grid, placed, voxels_placed, voxels_taken
from engines.grid.grid import Grid
from engines.grid.margins import Margins
from engines.grid.rasterise import rasterise
from engines.grid.resample import resample
from engines.grid.shrink import shrunk
from engines.grid.voxels import VoxelSet
from engines.grid.warp import warped

__all__ = [
    "Grid",
    "Margins",
    "VoxelSet",
    "box_within",
    "extended_grid",
    "placed",
    "rasterise",
    "resample",
    "shrunk",
    "voxels_placed",
    "voxels_taken",
    "warped",
]
