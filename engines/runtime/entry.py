"""One entry of a model registry: which file exactly, whose, for what, with which tensors, and where it ever ran."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from engines.runtime.contract import Backend, Precision

Said = Annotated[str, Field(min_length=3)]


class Strict(BaseModel):
    """An unknown key refuses the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


class Tensor(Strict):
    """An input or output. axes: what each axis is and where its index grows to. shape: a typical one, with as many
    numbers as axes, that builds and benches are made for. low, high: of the values that a bench feeds."""

    name: str = Field(min_length=1)
    meaning: Said
    unit: str = Field(min_length=1)
    axes: tuple[str, ...]
    dtype: Literal["float32", "int64"] = "float32"
    shape: tuple[Annotated[int, Field(ge=1)], ...] = ()
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _fits(self) -> Tensor:
        if self.shape and len(self.shape) != len(self.axes):
            raise ValueError(f"tensor '{self.name}' has {len(self.axes)} axes and a shape of {len(self.shape)}")
        if self.low > self.high:
            raise ValueError(f"tensor '{self.name}' needs low not above high")
        return self


class Trained(Strict):
    """A quantity whose range the training data had."""

    quantity: Said
    unit: str = Field(min_length=1)
    low: float
    high: float

    @model_validator(mode="after")
    def _a_range(self) -> Trained:
        if self.low > self.high:
            raise ValueError(f"{self.quantity} needs low not above high")
        return self


class Tried(Strict):
    """A combination that was executed, or only built, on a kind of device (as `Network.device` calls it, any case)."""

    backend: Backend
    precision: Precision
    device: Said
    note: str = ""


class Registered(Strict):
    """file: of the network, relative to the registry, or inside the installed `package`. optional: the product does
    without it where it is not there; altered it is refused all the same. form: safetensors hold weights alone, from
    which the product writes its ONNX file. precision: those allowed, each with the largest difference from the float32
    result on the CPU that is accepted, in units of the outputs. backends: the only ones that the product runs it on, ()
    any. card: a document relative to the registry."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: Said
    file: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    package: str = Field(default="", pattern=r"^[a-z0-9_]*$")
    form: Literal["onnx", "safetensors"] = "onnx"
    optional: bool = False
    licence: str = Field(min_length=2)
    source: Said
    trained_for: Said
    card: str = ""
    precision: dict[Precision, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    backends: tuple[Backend, ...] = ()
    input: tuple[Tensor, ...] = Field(min_length=1)
    output: tuple[Tensor, ...] = Field(min_length=1)
    trained: tuple[Trained, ...] = ()
    executed: tuple[Tried, ...] = ()
    built_only: tuple[Tried, ...] = ()

    @field_validator("file", "card")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"'{value}' must lie in the registry's folder")
        return value

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.input

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.output

    @property
    def reference(self) -> str:
        """name@first eight digits of the SHA-256, as documents name the model that made something."""
        return f"{self.name}@{self.sha256[:8]}"
