import numpy as np
from numpy.typing import NDArray

def max_threads() -> int: ...
def distances(
    inside: NDArray[np.uint8],
    wanted: bool,
    possible: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    limit: float,
    scale: float,
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
def beam_channels(
    possible: NDArray[np.uint8],
    asked: NDArray[np.float32],
    level: NDArray[np.uint8],
    kind: NDArray[np.uint8],
    z: NDArray[np.float32],
    y: NDArray[np.float32],
    x: NDArray[np.float32],
    spacing: tuple[float, float, float],
    axes: NDArray[np.float32],
    plan_scale: float,
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
def pool_region(
    index: NDArray[np.int32],
    fraction: NDArray[np.float32],
    fine: tuple[int, int, int],
    blocks: tuple[int, int, int],
    out: NDArray[np.float32],
) -> None: ...
def pool_image(
    image: NDArray[np.int16], blocks: tuple[int, int, int], out: NDArray[np.float32], threads: int
) -> None: ...
def refine(
    volume: NDArray[np.float32],
    inside: NDArray[np.uint8],
    low: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    part: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
