"""What has to be known of a network before it can be run: how its input is made and what its output means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.segmentation.orientation import check_orientation

Volume = NDArray[np.float32]
SMALLEST_SPREAD = 1e-8
"""A standard deviation below this is taken as this: an image of one value becomes 0 (chosen; nnU-Net guards alike)."""


@dataclass(frozen=True)
class Intensity:
    """From image values (HU) to what the network was trained on.

    ct: clipped to low..high (0.5 and 99.5 percentile of the training foreground), less mean, over deviation (nnU-Net's
    CT normalisation: Isensee et al., Nat Methods 18:203, 2021). range: low..high to 0..1, clipped (MONAI's
    ScaleIntensityRange as used for Swin UNETR). zscore: less the image's mean, over its standard deviation. none."""

    scheme: Literal["ct", "range", "zscore", "none"]
    low: float = 0.0
    high: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if self.scheme in ("ct", "range") and not self.low < self.high:
            raise EngineError(f"intensities need low below high, got {self.low:g} and {self.high:g}")
        if self.scheme == "ct" and not self.deviation > 0:
            raise EngineError(f"the standard deviation of intensities must be above 0, got {self.deviation:g}")

    def apply(self, values: NDArray[np.generic]) -> Volume:
        """(z, y, x) or any shape; float32."""
        image = np.asarray(values, np.float32)
        if self.scheme == "ct":
            image = (np.clip(image, self.low, self.high) - self.mean) / self.deviation
        elif self.scheme == "range":
            image = (np.clip(image, self.low, self.high) - self.low) / (self.high - self.low)
        elif self.scheme == "zscore":
            image = (image - image.mean(dtype=np.float64)) / max(float(image.std(dtype=np.float64)), SMALLEST_SPREAD)
        return image.astype(np.float32)


@dataclass(frozen=True)
class NetworkSpec:
    """The tensor contract of one network.

    Input: one tensor N C D H W, N = C = 1, float32. orientation: where each of D, H, W leads, a letter each of R L A P
    S I ('SPL': our own z, y, x in LPS; 'RAS': x, y, z of NIfTI). spacing_mm and patch: along D, H, W. Output: one
    tensor N K D H W. kind softmax: K classes that exclude each other, class 0 the background; sigmoid: K regions that
    may overlap, a voxel in where it has at least half. values: what the network gives, logits or probabilities.
    overlap: share of a patch that the next one covers again. sigma: of the Gaussian that tiles are weighed by, in patch
    sizes. mirror_axes: axes (0 D, 1 H, 2 W) along which the image is also run mirrored, all combinations, and averaged.
    labels: (channel, name). largest_part: of each label only its largest connected part is kept (voxels that share a
    face, on the network's grid), as nnU-Net does where it helps (Isensee et al., Nat Methods 18:203, 2021)."""

    orientation: str
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    intensity: Intensity
    kind: Literal["softmax", "sigmoid"]
    values: Literal["logits", "probabilities"]
    labels: tuple[tuple[int, str], ...]
    overlap: float = 0.5
    sigma: float = 0.125
    mirror_axes: tuple[int, ...] = ()
    input_name: str = ""
    output_name: str = ""
    largest_part: bool = False

    def __post_init__(self) -> None:
        check_orientation(self.orientation)
        if not (np.isfinite(self.spacing_mm).all() and min(self.spacing_mm) > 0 and min(self.patch) > 0):
            raise EngineError(f"spacing {self.spacing_mm} and patch {self.patch} must be above 0")
        if not 0 <= self.overlap < 1 or not self.sigma > 0:
            raise EngineError(f"overlap {self.overlap:g} must be in 0..1 and sigma {self.sigma:g} above 0")
        if not set(self.mirror_axes) <= {0, 1, 2}:
            raise EngineError(f"mirror axes are among 0, 1, 2, got {self.mirror_axes}")
        channels = [channel for channel, _ in self.labels]
        first = 1 if self.kind == "softmax" else 0
        if not channels or len(set(channels)) != len(channels) or min(channels) < first:
            raise EngineError(f"labels need channels of their own from {first} on, got {channels}")
