"""SimpleITK, loaded where a registration is made.

Method: Lowekamp et al., "The Design of SimpleITK", Front Neuroinform 7:45 (2013), doi 10.3389/fninf.2013.00045.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.grid import Grid


def simpleitk() -> Any:
    """Raises EngineError where the package is missing."""
    try:
        import SimpleITK
    except ImportError as error:
        raise EngineError("registration needs the Python package SimpleITK; install it") from error
    return SimpleITK


def itk_image(sitk: Any, values_zyx: NDArray[np.generic], grid: Grid) -> Any:
    """Of (z, y, x) values as float32, or of vectors (z, y, x, 3) as float64. Raises EngineError if they are not on
    `grid`."""
    if values_zyx.shape[:3] != grid.shape:
        raise EngineError(f"an image of shape {values_zyx.shape} is not on a grid of shape {grid.shape}")
    is_vector = values_zyx.ndim == 4
    kind = np.float64 if is_vector else np.float32
    image = sitk.GetImageFromArray(np.ascontiguousarray(values_zyx, kind), isVector=is_vector)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm)
    return image
