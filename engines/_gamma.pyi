import numpy as np
from numpy.typing import NDArray

def max_threads() -> int: ...
def gamma_of_points(
    reference: NDArray[np.float32],
    reference_origin: tuple[float, float, float],
    reference_spacing: tuple[float, float, float],
    evaluated: NDArray[np.float32],
    origin: tuple[float, float, float],
    spacing: tuple[float, float, float],
    index: NDArray[np.int64],
    per_dose: NDArray[np.float32],
    largest: float,
    accuracy: float,
    gamma: NDArray[np.float32],
    threads: int,
) -> None: ...
