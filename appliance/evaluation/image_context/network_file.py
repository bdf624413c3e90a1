"""The TOML file beside a network: what its tensors mean, and which weights exactly are meant.

A network without such a file, with other weights than the file names, or with a label that is no known structure name
is refused: what it would say could not be trusted or compared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from appliance.errors import ModelError
from appliance.evaluation.image_context.comparison import Comparison, why_propagated
from appliance.evaluation.tables import Table, read_table
from engines.errors import EngineError
from engines.runtime import Precision, RuntimeOptions
from engines.runtime.entry import Registered, Tensor
from engines.runtime.folders import engine_cache
from engines.runtime.registry import Registry
from engines.segmentation import Intensity, Network, NetworkSpec, open_network

ROUNDING = 1e-3
"""Largest difference of a score from the float32 result on the CPU that another backend may have (chosen: a softmax
share moves by less than that, and no border by a voxel)."""
MEND = "get the network again, or state its new SHA-256 in the file that names it"
AXES = {"S": "superior", "I": "inferior", "P": "posterior", "A": "anterior", "L": "left", "R": "right"}
DICE_LEAST, DISTANCE_MOST_MM = 0.7, 10.0
"""Author's choice: coarse errors, such as an organ drawn at another level, miss both by far."""
Triple = tuple[float, float, float]


class _Input(Table):
    name: str = ""
    layout: Literal["NCDHW"]
    orientation: str
    modality: Literal["CT", "MR"]
    spacing_mm: Triple
    patch: tuple[int, int, int]
    image_spacing_mm: tuple[float, float]

    @model_validator(mode="after")
    def _a_range(self) -> _Input:
        if not 0 < self.image_spacing_mm[0] <= self.image_spacing_mm[1]:
            raise ValueError("image_spacing_mm must be [smallest, largest]")
        return self


class _Intensity(Table):
    """ct and range need percentiles or limits; a scheme with a number that it does not use is refused."""

    scheme: Literal["ct", "range", "zscore", "none"]
    percentile_00_5: float | None = None
    percentile_99_5: float | None = None
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _whole(self) -> _Intensity:
        needed = {"ct": ("percentile_00_5", "percentile_99_5", "mean", "std"), "range": ("low", "high")}
        stated = {name for name in type(self).model_fields if name != "scheme" and getattr(self, name) is not None}
        if stated != set(needed.get(self.scheme, ())):
            wanted = ", ".join(needed.get(self.scheme, ())) or "no number"
            raise ValueError(f"scheme '{self.scheme}' needs {wanted}, and nothing else")
        return self

    def intensity(self) -> Intensity:
        low = self.percentile_00_5 if self.scheme == "ct" else self.low
        high = self.percentile_99_5 if self.scheme == "ct" else self.high
        return Intensity(
            self.scheme,
            0.0 if low is None else low,
            1.0 if high is None else high,
            0.0 if self.mean is None else self.mean,
            1.0 if self.std is None else self.std,
        )


class _Output(Table):
    name: str = ""
    kind: Literal["softmax", "sigmoid"]
    values: Literal["logits", "probabilities"]
    largest_part: bool = False


class _Tiling(Table):
    overlap: float = 0.5
    sigma: float = 0.125
    mirror_axes: tuple[int, ...] = ()


class _Agreement(Table):
    dice_least: float = Field(default=DICE_LEAST, ge=0, le=1)
    distance_most_mm: float = Field(default=DISTANCE_MOST_MM, gt=0)


class _Label(Table):
    """partial: contours of it may end anywhere along z (spinal cord, oesophagus)."""

    channel: int = Field(ge=0)
    name: str = Field(min_length=1)
    partial: bool = False


class _File(Table):
    format: Literal["couchside-segmentation-1"]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=3)
    model: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source: str = Field(min_length=3)
    licence: str = Field(min_length=2)
    trained_on: str = Field(min_length=3)
    input: _Input
    intensity: _Intensity
    output: _Output
    tiling: _Tiling = _Tiling()
    agreement: _Agreement = _Agreement()
    compared_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    comparison: tuple[Comparison, ...] = ()
    label: tuple[_Label, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _compared_once(self) -> _File:
        rows = [(one.organ, one.image) for one in self.comparison]
        if len(set(rows)) != len(rows):
            raise ValueError("comparison: an organ stands twice for one kind of image")
        return self

    def spec(self) -> NetworkSpec:
        return NetworkSpec(
            orientation=self.input.orientation,
            spacing_mm=self.input.spacing_mm,
            patch=self.input.patch,
            intensity=self.intensity.intensity(),
            kind=self.output.kind,
            values=self.output.values,
            labels=tuple((label.channel, label.name) for label in self.label),
            overlap=self.tiling.overlap,
            sigma=self.tiling.sigma,
            mirror_axes=self.tiling.mirror_axes,
            input_name=self.input.name,
            output_name=self.output.name,
            largest_part=self.output.largest_part,
        )

    def registry(self, folder: Path) -> Registry:
        """A registry of this network alone, so that whatever is done with registered networks is done with it."""
        axes = [AXES[letter] for letter in self.input.orientation]
        image = Tensor(
            name=self.input.name or "(the only input)",
            meaning=f"{self.input.modality} patch, intensities as the network wants them",
            unit="HU" if self.intensity.scheme == "none" else "normalised",
            axes=("one", "one", *axes),
            shape=(1, 1, *self.input.patch),
        )
        scores = Tensor(
            name=self.output.name or "(the only output)",
            meaning=f"{self.output.kind} {self.output.values} of each channel",
            unit="none",
            axes=("one", "channel", *axes),
        )
        weights = folder / self.model
        entry = Registered(
            name=self.name,
            title=self.title,
            file=weights.name,
            sha256=self.sha256,
            licence=self.licence,
            source=self.source,
            trained_for=self.trained_on,
            precision={Precision.FP32: ROUNDING},
            input=(image,),
            output=(scores,),
        )
        return Registry(weights.parent, (entry,), mend=MEND)


@dataclass(frozen=True)
class SegmentationNetwork:
    """A network whose file was read and whose weights are those it names. image_spacing_mm: smallest and largest
    spacing of an image along any axis. partial: labels whose contours may end anywhere along z. comparisons: with
    propagation, of these weights. registry: of this network alone; it hands the weights out only as the file names
    them."""

    name: str
    title: str
    registry: Registry
    modality: str
    image_spacing_mm: tuple[float, float]
    spec: NetworkSpec
    partial: frozenset[str]
    dice_least: float
    distance_most_mm: float
    comparisons: tuple[Comparison, ...] = ()

    @property
    def sha256(self) -> str:
        return self.registry.entry(self.name).sha256

    def why_propagated(self, organ: str) -> str:
        """Why it is not to draw an organ of today in the place of propagation; '' where it may."""
        if organ not in {name for _, name in self.spec.labels}:
            return "it has no such label"
        return why_propagated(organ, self.comparisons)

    def open(self, *, threads: int = 0) -> Network:
        """Raises ModelError where the weights were altered since, or break the contract."""
        try:
            options = RuntimeOptions(cache=engine_cache(), threads=threads)
            return open_network(self.registry.verified(self.name), self.spec, name=self.name, options=options)
        except EngineError as error:
            raise ModelError(f"segmentation network {self.name}: {error}") from error


def load_network(path: Path, known: Collection[str]) -> SegmentationNetwork:
    """The network that a TOML file describes; its weights lie beside it. known: structure names that labels may have
    (TG-263). Raises ModelError naming the file, the key and what is wrong."""
    try:
        file = read_table(_File, path.read_bytes(), f"segmentation file {path.name}", ModelError)
        spec = file.spec()
    except OSError as error:
        raise ModelError(f"segmentation file {path.name} cannot be read ({error.strerror})") from error
    except EngineError as error:
        raise ModelError(f"segmentation file {path.name}: {error}") from error
    names = [label.name for label in file.label]
    if unknown := sorted(set(names) - set(known)):
        raise ModelError(
            f"segmentation file {path.name}: {', '.join(unknown)} is no structure name of TG-263 that is known"
        )
    if len(set(names)) != len(names):
        raise ModelError(f"segmentation file {path.name}: two labels have one name")
    registry = file.registry(path.parent)
    try:
        registry.verified(file.name)
    except EngineError as error:
        raise ModelError(f"segmentation file {path.name}: {error}") from error
    return SegmentationNetwork(
        name=file.name,
        title=file.title,
        registry=registry,
        modality=file.input.modality,
        image_spacing_mm=file.input.image_spacing_mm,
        spec=spec,
        partial=frozenset(label.name for label in file.label if label.partial),
        dice_least=file.agreement.dice_least,
        distance_most_mm=file.agreement.distance_most_mm,
        comparisons=file.comparison if file.compared_sha256 == file.sha256 else (),
    )
