"""Sizes that an engine is built for: TensorRT wants the least, the usual and the greatest of each free axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from engines.runtime.contract import TensorInfo

Shape = tuple[int, ...]

VOLUME_RANK = 5
"""N, C, z, y, x."""
VOLUME_SIZES = (16, 96, 128)
"""Voxels along a free axis of a volume. Chosen: the dose network was trained on 128 at most; a larger maximum reserves
memory that dose calculation wants, and an engine for more is built when more comes."""
BATCH_SIZES = (1, 1, 64)
OTHER_SIZES = (1, 32, 256)
"""Chosen: tokens of a text, of which the sentence encoder takes 256."""


@dataclass(frozen=True)
class Sizes:
    """Of one input: shapes with every axis."""

    name: str
    least: Shape
    usual: Shape
    greatest: Shape


@dataclass(frozen=True)
class Profile:
    """Of the inputs that have free axes, by name; empty where none has."""

    inputs: tuple[Sizes, ...] = ()

    @classmethod
    def usual(cls, inputs: tuple[TensorInfo, ...]) -> Self:
        """What is likely to come, from the ranks alone."""
        free = sorted((tensor for tensor in inputs if None in tensor.shape), key=lambda tensor: tensor.name)
        return cls(tuple(_sizes(tensor) for tensor in free))

    def covers(self, shapes: Mapping[str, Shape]) -> bool:
        """Whether an engine with this profile takes inputs of these shapes."""
        return all(
            low <= size <= high
            for one in self.inputs
            for low, size, high in zip(one.least, shapes[one.name], one.greatest, strict=True)
        )

    def including(self, shapes: Mapping[str, Shape]) -> Profile:
        """Widened so that it covers these shapes, which become the usual ones."""
        return Profile(
            tuple(
                Sizes(
                    one.name,
                    tuple(map(min, one.least, shapes[one.name])),
                    shapes[one.name],
                    tuple(map(max, one.greatest, shapes[one.name])),
                )
                for one in self.inputs
            )
        )

    @property
    def text(self) -> str:
        """In one line, as engine files carry it."""
        return "; ".join(f"{one.name} {_x(one.least)} {_x(one.usual)} {_x(one.greatest)}" for one in self.inputs)


def _x(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _sizes(tensor: TensorInfo) -> Sizes:
    volume = len(tensor.shape) == VOLUME_RANK
    of_axis = [
        (size,) * 3 if size is not None else BATCH_SIZES if axis == 0 else VOLUME_SIZES if volume else OTHER_SIZES
        for axis, size in enumerate(tensor.shape)
    ]
    least, usual, greatest = (tuple(sizes[which] for sizes in of_axis) for which in range(3))
    return Sizes(tensor.name, least, usual, greatest)
