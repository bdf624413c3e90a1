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
