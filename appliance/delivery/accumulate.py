"""Delivered fractions added up on one anatomy, for its structures and for the whole grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from appliance.contracts import Case, Structure, StructureKind
from appliance.contracts.accumulation import (
    AccumulatedDose,
    AccumulatedFigure,
    AlphaBeta,
    Fraction,
    Quantity,
    StructureDose,
)
from appliance.contracts.goals import Metric
from appliance.errors import NotAccumulated
from engines.accumulation import Delivered, in_voxels, on_grid
from engines.dvh import DoseVolume, dose_metric
from engines.grid import VoxelSet
from engines.radiobiology import eqd2

Floats = NDArray[np.float32]
RatioOf = Callable[[str, bool], AlphaBeta]
"""Alpha/beta of a structure: (TG-263 name, is it a target)."""

TARGET_METRICS, ORGAN_METRICS = ("D98%", "D95%", "D2%", "Mean"), ("D0.1cc", "Mean")
"""Shown of each structure (chosen: near-minimum, coverage, near-maximum; of organs what serial and parallel limits
are about)."""

NOT_SHOWN = (StructureKind.EXTERNAL, StructureKind.SUPPORT)

MAPPED = (
    "Dose was mapped directly, at the centres of voxels: it follows the tissue as the registration says, and neither "
    "energy nor mass is conserved where tissue was lost or gained"
)
BAND = (
    "The band holds whatever the registrations' uncertainties allow when all err the same way; the narrower one in "
    "brackets takes the errors of different registrations for independent. Neither holds errors of dose calculation"
)
UNREACHED = "{structure}: {share:.1f} % of it lies where the dose of a fraction was not calculated and counts as 0"
SHARE = "Planned figures are {delivered} of {planned} fractions of the reference plan on the anatomy shown"


@dataclass(frozen=True, eq=False)
class Planned:
    """The reference plan: dose_gy (z, y, x) of the whole course on the anatomy's image grid."""

    dose_gy: Floats
    fractions: int


@dataclass(frozen=True, eq=False)
class Accumulation:
    """Fractions on one anatomy. Structures are summed when asked for, each once. Raises NotAccumulated without a
    fraction and where a fraction is given twice."""

    case: Case
    fractions: tuple[Fraction, ...]
    ratio_of: RatioOf
    planned: Planned | None = None
    _made: dict[str, StructureDose | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.fractions:
            raise NotAccumulated("no fraction was given; give the folder of one at least")
        doses = [item.dose.sop_instance_uid for item in self.fractions]
        if len(set(doses)) < len(doses):
            raise NotAccumulated("two fractions have the same dose object; give each once, and say how often")

    @property
    def delivered(self) -> int:
        return sum(item.delivered.count for item in self.fractions)

    def dose_in(self, name: str) -> StructureDose | None:
        """Of a structure, or a union joined by '+'; None where the case lacks one or there is nothing in it."""
        if name not in self._made:
            parts = [self.case.structure(part) for part in name.split("+")]
            found = [item for item in parts if item is not None and not item.voxels.empty]
            self._made[name] = self._summed(name, found) if len(found) == len(parts) else None
        return self._made[name]

    def _summed(self, name: str, parts: Sequence[Structure]) -> StructureDose:
        grid, voxels = self.case.image.grid, reduce(VoxelSet.union, (item.voxels for item in parts))
        is_target = all(item.kind is StructureKind.TARGET for item in parts)
        ratio = self.ratio_of(name, is_target)
        found = in_voxels(self._given, grid.centres_mm(voxels.index), ratio.value_gy)
        weight_cc = voxels.fraction * np.float32(grid.voxel_volume_cc)
        planned_gy, planned_eqd2_gy = self._share(voxels, ratio)
        return StructureDose(
            structure=name,
            is_target=is_target,
            weight_cc=weight_cc,
            physical=found.physical,
            eqd2=found.eqd2,
            alpha_beta=ratio,
            unreached=float(weight_cc[found.unreached].sum(dtype=np.float64) / weight_cc.sum(dtype=np.float64)),
            planned_gy=planned_gy,
            planned_eqd2_gy=planned_eqd2_gy,
        )

    @property
    def _given(self) -> list[Delivered]:
        return [item.delivered for item in self.fractions]

    def _share(self, voxels: VoxelSet, ratio: AlphaBeta) -> tuple[Floats | None, Floats | None]:
        if self.planned is None:
            return None, None
        one_gy = self.planned.dose_gy.reshape(-1)[voxels.index] / np.float32(self.planned.fractions)
        effective = np.float32(self.delivered) * eqd2(one_gy, 1, ratio.value_gy)
        return np.float32(self.delivered) * one_gy, np.asarray(effective, np.float32)

    def summed(self, general: AlphaBeta) -> AccumulatedDose:
        """general: alpha/beta of the EQD2 of the whole grid."""
        whole = on_grid(self._given, self.case.image.grid, general.value_gy)
        names = [item.tg263 for item in self.case.structures if item.kind not in NOT_SHOWN]
        structures = [dose for name in names if (dose := self.dose_in(name)) is not None]
        notes = [MAPPED, BAND]
        body = self.case.external.voxels
        missed = body.fraction[~whole.reached.reshape(-1)[body.index]].sum() / body.fraction.sum()
        if missed > 0:
            notes.append(UNREACHED.format(structure="The body", share=100 * missed))
        if self.planned is not None:
            notes.append(SHARE.format(delivered=self.delivered, planned=self.planned.fractions))
        notes += [
            UNREACHED.format(structure=item.structure, share=100 * item.unreached)
            for item in structures
            if item.unreached > 0
        ]
        notes += [note for item in self.fractions for note in item.notes]
        return AccumulatedDose(
            grid=self.case.image.grid,
            dose_gy=whole.dose_gy,
            eqd2_gy=whole.eqd2_gy,
            alpha_beta=general,
            delivered=self.delivered,
            planned=0 if self.planned is None else self.planned.fractions,
            structures=tuple(structures),
            figures=tuple(figure for item in structures for figure in figures_of(item)),
            notes=tuple(dict.fromkeys(notes)),
        )


def figures_of(dose: StructureDose) -> list[AccumulatedFigure]:
    metrics = TARGET_METRICS if dose.is_target else ORGAN_METRICS
    return [
        figure(dose, Metric.parse(metric), "Gy", quantity) for quantity in ("physical", "EQD2") for metric in metrics
    ]


def figure(dose: StructureDose, metric: Metric, unit: str, quantity: Quantity) -> AccumulatedFigure:
    """One metric with its bands. metric: one that rises with every voxel's dose, so that its band is the dose's."""
    banded = dose.physical if quantity == "physical" else dose.eqd2
    planned = dose.planned_gy if quantity == "physical" else dose.planned_eqd2_gy

    def of(dose_gy: Floats) -> float:
        volume = DoseVolume.of(dose_gy, dose.weight_cc)
        return dose_metric(metric.kind.value, metric.argument, volume, unit=unit)

    return AccumulatedFigure(
        structure=dose.structure,
        quantity=quantity,
        metric=str(metric),
        unit=unit,
        value=of(banded.value),
        low=of(banded.low),
        high=of(banded.high),
        low_independent=of(banded.low_independent),
        high_independent=of(banded.high_independent),
        planned=None if planned is None else of(planned),
        alpha_beta_gy=dose.alpha_beta.value_gy,
        alpha_beta_source=dose.alpha_beta.source,
    )
