import numpy as np
from numpy.typing import NDArray

Three = tuple[float, float, float]

def max_threads() -> int: ...
def warped(
    values: NDArray[np.float32] | NDArray[np.int16] | NDArray[np.bool_],
    matrix: list[float],
    field: NDArray[np.float32] | None,
    first: Three,
    step: Three,
    per_mm: Three,
    outside: float,
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
def block_means(
    values: NDArray[np.float32] | NDArray[np.int16] | NDArray[np.bool_],
    count: tuple[int, int, int],
    low: float,
    high: float,
    out: NDArray[np.float32],
    threads: int,
) -> None: ...
