import numpy as np
from numpy.typing import NDArray

KERNELS: int
GEOMETRY: int
INTERLEAVE: int

def max_threads() -> int: ...
def depth_of_points(
    density: NDArray[np.float32],
    origin: list[float],
    spacing: list[float],
    source: list[float],
    points: NDArray[np.float32],
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
def geometry_of_points(
    points: NDArray[np.float32],
    depth: NDArray[np.float32],
    isocentre: list[float],
    ex: list[float],
    ey: list[float],
    ez: list[float],
    sad: float,
    m: float,
    beta: list[float],
    softening: list[float],
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
def forward(
    maps: NDArray[np.float32],
    u0: float,
    v0: float,
    pitch: float,
    geometry: NDArray[np.float32],
    dose: NDArray[np.float32],
    threads: int,
) -> None: ...
def adjoint(
    dose_gradient: NDArray[np.float32],
    geometry: NDArray[np.float32],
    u0: float,
    v0: float,
    pitch: float,
    maps: NDArray[np.float32],
    threads: int,
) -> None: ...

TERMS: int
CONE_WEIGHTS: int

def release_energy(
    points: NDArray[np.float32],
    depth: NDArray[np.float32],
    frame: list[list[float]],
    sad: float,
    maps: NDArray[np.float32],
    raster: list[float],
    table: NDArray[np.float32],
    head: list[float],
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
def release_on_grid(
    density: NDArray[np.float32],
    origin: list[float],
    spacing: list[float],
    frame: list[list[float]],
    sad: float,
    maps: NDArray[np.float32],
    raster: list[float],
    table: NDArray[np.float32],
    head: list[float],
    primary: NDArray[np.float32],
    scatter: NDArray[np.float32],
    electrons: NDArray[np.float32],
    threads: int,
) -> bool: ...
def transport(
    density: NDArray[np.float32],
    origin: list[float],
    spacing: list[float],
    energy: list[NDArray[np.float32]],
    hulls: NDArray[np.int16],
    sources: NDArray[np.float32],
    directions: NDArray[np.float32],
    weights: NDArray[np.float32],
    first_exponent: float,
    dose: NDArray[np.float32],
    threads: int,
) -> None: ...
def leaf_rows(
    edges: NDArray[np.float32], weight: NDArray[np.float32], out: NDArray[np.float32], threads: int
) -> None: ...
def leaf_rows_adjoint(
    edges: NDArray[np.float32],
    gradient: NDArray[np.float32],
    slopes: NDArray[np.float32],
    seen: NDArray[np.float32],
    threads: int,
) -> None: ...
def add_on_grid(
    density: NDArray[np.float32],
    origin: list[float],
    spacing: list[float],
    isocentre: list[float],
    ex: list[float],
    ey: list[float],
    ez: list[float],
    sad: float,
    m: float,
    beta: list[float],
    softening: list[float],
    maps: NDArray[np.float32],
    u0: float,
    v0: float,
    pitch: float,
    wanted: NDArray[np.uint8],
    scale: float,
    dose: NDArray[np.float32],
    threads: int,
) -> bool: ...
