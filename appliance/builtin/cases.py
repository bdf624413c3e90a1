"""The built-in cases: what they are called, what is drawn on them, and how today differs from the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from appliance.builtin.deformation import Bump, Deformation
from appliance.builtin.phantoms import c_shape, head_neck, multi_target, prostate
from appliance.builtin.shapes import Point, Solid
from appliance.contracts import StructureKind

NOT_CONFIRMED = "Sizes approximate: not confirmed against the tables of the report."
MEASURED = "Sizes measured from the structures of the TG-119 phantom."


@dataclass(frozen=True, eq=False)
class BuiltinCase:
    """One case. `name` is what the command line takes, `goal_set` the clinical goals it is meant for, `site` their
    site. approximate: the sizes could not be confirmed. phantom_box_mm: (RL, AP, SI). shrink_mm: how far today's
    surface of a structure lies inside the deformed one, by structure; `today` says the difference in words."""

    name: str
    title: str
    description: str
    site: str
    goal_set: str
    approximate: bool
    patient_id: str
    patient_name: str
    slice_mm: float
    slice_on_zero: bool
    solids: Callable[[], Mapping[str, Solid]]
    deformation: Deformation
    today: str
    shrink_mm: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def provenance(self) -> str:
        return NOT_CONFIRMED if self.approximate else MEASURED


COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "External": (160, 160, 160),
        "PTV": (230, 40, 40),
        "PTV_Central": (230, 40, 40),
        "PTV_Superior": (240, 140, 40),
        "PTV_Inferior": (220, 80, 180),
        "Core": (60, 140, 230),
        "Rectum": (150, 100, 50),
        "Bladder": (230, 200, 50),
        "SpinalCord": (60, 200, 90),
        "Parotid_L": (80, 180, 230),
        "Parotid_R": (80, 110, 230),
    }
)


def kind_of(structure: str) -> StructureKind:
    if structure == "External":
        return StructureKind.EXTERNAL
    return StructureKind.TARGET if structure.startswith("PTV") else StructureKind.ORGAN


def _bump(centre_mm: Point, amplitude_mm: Point, sigma_mm: float) -> Bump:
    return Bump(centre_mm, amplitude_mm, sigma_mm)


_C_SHAPE = BuiltinCase(
    name="c-shape",
    title="AAPM TG-119 C-shape",
    description="C-shaped target around an avoidance core in a water-equivalent slab.",
    site="c-shape",
    goal_set="tg119-c-shape",
    approximate=False,
    patient_id="COUCHSIDE-TG119-CSHAPE",
    patient_name="Phantom^C-shape",
    slice_mm=3.0,
    slice_on_zero=True,
    solids=c_shape,
    deformation=Deformation(
        shift_mm=(-3.0, 2.0, -1.5),
        bumps=(
            _bump((0.0, 0.0, 10.0), (2.0, -1.0, 1.5), 35.0),
            _bump((30.0, -15.0, -15.0), (-1.5, 1.5, 0.0), 20.0),
            _bump((-60.0, -75.0, 0.0), (0.0, 3.0, 0.0), 40.0),
        ),
    ),
    shrink_mm=MappingProxyType({"PTV": 1.0}),
    today=(
        "Set-up 3 mm to the left, 2 mm anterior and 1.5 mm superior of the reference; core and target displaced by up "
        "to 3 mm; anterior surface raised by up to 3 mm on the right; target 1 mm smaller on every face."
    ),
)

_PROSTATE = BuiltinCase(
    name="prostate",
    title="AAPM TG-119 mock prostate",
    description="Prostate with margin, rectum and bladder in a water-equivalent slab.",
    site="prostate",
    goal_set="tg119-prostate",
    approximate=True,
    patient_id="COUCHSIDE-TG119-PROSTATE",
    patient_name="Phantom^Prostate",
    slice_mm=2.5,
    slice_on_zero=False,
    solids=prostate,
    deformation=Deformation(
        shift_mm=(2.0, 0.0, -2.5),
        bumps=(
            _bump((0.0, 22.0, -5.0), (0.0, 3.5, 0.0), 22.0),
            _bump((0.0, -20.0, 75.0), (0.0, 0.0, -6.0), 20.0),
            _bump((80.0, -75.0, 0.0), (0.0, -2.5, 0.0), 40.0),
        ),
    ),
    today=(
        "Set-up 2 mm to the right and 2.5 mm superior of the reference; rectum and back of the prostate pushed 3.5 mm "
        "anterior; bladder filled 6 mm higher at its top; anterior surface sunk by 2.5 mm on the left."
    ),
)

_HEAD_NECK = BuiltinCase(
    name="head-neck",
    title="AAPM TG-119 mock head and neck",
    description="Horseshoe target around the cord below both parotids in a water-equivalent neck.",
    site="head-neck",
    goal_set="tg119-head-neck",
    approximate=True,
    patient_id="COUCHSIDE-TG119-HEADNECK",
    patient_name="Phantom^Head-neck",
    slice_mm=2.5,
    slice_on_zero=False,
    solids=head_neck,
    deformation=Deformation(
        shift_mm=(1.5, -2.0, 2.5),
        bumps=(
            _bump((62.0, 0.0, -20.0), (4.0, 0.0, 0.0), 30.0),
            _bump((-62.0, 0.0, -20.0), (-4.0, 0.0, 0.0), 30.0),
            _bump((0.0, 20.0, -60.0), (0.0, 2.0, 0.0), 30.0),
        ),
    ),
    shrink_mm=MappingProxyType({"PTV": 1.0}),
    today=(
        "Set-up 1.5 mm to the right, 2 mm posterior and 2.5 mm inferior of the reference; both sides of the neck "
        "4 mm thinner after weight loss; lower neck flexed by 2 mm; target 1 mm smaller on every face."
    ),
)

_MULTI_TARGET = BuiltinCase(
    name="multi-target",
    title="AAPM TG-119 multi-target",
    description="Three stacked cylinders with three prescriptions in a water-equivalent slab.",
    site="multi-target",
    goal_set="tg119-multi-target",
    approximate=True,
    patient_id="COUCHSIDE-TG119-MULTI",
    patient_name="Phantom^Multi-target",
    slice_mm=2.5,
    slice_on_zero=False,
    solids=multi_target,
    deformation=Deformation(
        shift_mm=(2.5, 1.5, 2.5),
        bumps=(
            _bump((0.0, 0.0, 45.0), (-3.0, 0.0, 0.0), 25.0),
            _bump((0.0, 0.0, -45.0), (2.0, 2.0, 0.0), 25.0),
            _bump((0.0, -75.0, 0.0), (0.0, 2.5, 0.0), 45.0),
        ),
    ),
    shrink_mm=MappingProxyType({"PTV_Inferior": 1.0}),
    today=(
        "Set-up 2.5 mm to the right, 1.5 mm anterior and 2.5 mm inferior of the reference; the outer targets slid "
        "sideways by 3 mm against the central one; anterior surface raised by 2.5 mm; inferior target 1 mm smaller."
    ),
)

CASES: Mapping[str, BuiltinCase] = MappingProxyType(
    {case.name: case for case in (_C_SHAPE, _PROSTATE, _HEAD_NECK, _MULTI_TARGET)}
)
