"""Delivered fractions in folders, added up on the anatomy of another folder: reading, placing and adding meet here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.case import assemble, read_accumulated_dose, read_fraction
from appliance.contracts import Case, GoalSet, Received
from appliance.contracts.accumulation import AccumulatedDose, AlphaBeta, Fraction, Quantity, Register
from appliance.contracts.progress import Progress
from appliance.delivery import Accumulation, Planned, remaining_goals
from appliance.dicomio.accumulated_dose import accumulated_dose_dataset
from appliance.dicomio.files import save_durable
from appliance.errors import IncompleteCase, NotAccumulated, RefusedInput
from appliance.evaluation.reirradiation.tolerances import alpha_beta_of, shipped_tolerances
from appliance.export.read_back_dose import compare_dose
from appliance.inbound import assess, scan_folder
from appliance.inbound.catalogue import Modality

UNCERTAINTY_MM = 3.0
"""Of a registration object, which states none (chosen: TG-132 asks of a registration a mean error within 2 to 3 mm;
Brock, Mutic, McNutt, Li and Kessler, Med Phys 44:e43, 2017)."""
TARGET_ALPHA_BETA_GY = 10.0
"""Chosen: the usual value for tumours. Prostate and breast have far less; `--target-alpha-beta` says so."""
TARGET_SOURCE = "chosen for targets: the usual value for tumours"
GENERAL_ALPHA_BETA_GY = 3.0
GENERAL_SOURCE = "chosen: the usual value for late effects"
STATED = "stated on the command line"


@dataclass(frozen=True)
class Ratios:
    """Alpha/beta in Gy of what has no source of its own: organs and the whole grid, and targets."""

    general_gy: float = GENERAL_ALPHA_BETA_GY
    target_gy: float = TARGET_ALPHA_BETA_GY

    @property
    def general(self) -> AlphaBeta:
        source = GENERAL_SOURCE if self.general_gy == GENERAL_ALPHA_BETA_GY else STATED
        return AlphaBeta(self.general_gy, source, False)

    def of(self, structure: str, is_target: bool) -> AlphaBeta:
        """Of the first part of a union."""
        if is_target:
            source = TARGET_SOURCE if self.target_gy == TARGET_ALPHA_BETA_GY else STATED
            return AlphaBeta(self.target_gy, source, False)
        rows = shipped_tolerances()
        found = alpha_beta_of(rows, structure)
        if found.source == rows.default.alpha_beta_source:
            return self.general
        return AlphaBeta(found.value, found.source, True)


@dataclass(frozen=True)
class Asked:
    """counts: how many fractions each folder stands for, empty: one each. uncertainty_mm: of registration objects."""

    counts: tuple[int, ...] = ()
    uncertainty_mm: float = UNCERTAINTY_MM
    ratios: Ratios = Ratios()


@dataclass(frozen=True, eq=False)
class Course:
    """The anatomy and what was delivered to it so far."""

    case: Case
    fractions: tuple[Fraction, ...]
    accumulation: Accumulation
    dose: AccumulatedDose

    def remaining(self, goal_set: GoalSet) -> GoalSet:
        """Raises RefusedGoals; NotAccumulated where the length of the course is not known."""
        if not self.case.fractions:
            raise NotAccumulated("the reference has no plan, so the length of the course is not known")
        return remaining_goals(
            goal_set, self.accumulation.dose_in, delivered=self.dose.delivered, planned=self.case.fractions
        )


def accumulate_course(
    reference: Path, folders: Sequence[Path], asked: Asked, tell: Progress, *, register: Register | None = None
) -> Course:
    """reference: folder of the anatomy that dose is added up on: CT, structure set, and the plan and dose that what was
    delivered is compared with, if there are any. folders: one for each image that was treated on: image, structure set,
    plan, its dose. Registration objects may lie in any of them. register: places a fraction that none of them joins to
    the anatomy; None: it is refused. Raises RefusedInput and NotAccumulated; what is wrong with a fraction names its
    folder."""
    counts = asked.counts or (1,) * len(folders)
    if len(counts) != len(folders):
        raise NotAccumulated(f"{len(folders)} folders and {len(counts)} numbers of fractions were given")
    tell("reading the reference", 0.0)
    chosen, shared = _objects(reference)
    case = assemble(chosen)
    fractions = []
    for number, (folder, count) in enumerate(zip(folders, counts, strict=True)):
        tell(f"reading fraction {number + 1}", 0.1 + 0.5 * number / len(folders))
        try:
            received, registrations = _objects(folder)
            fraction = read_fraction(
                received,
                [*registrations, *shared],
                case,
                count=count,
                uncertainty_mm=asked.uncertainty_mm,
                register=register,
            )
        except RefusedInput as error:
            raise NotAccumulated(f"the fraction in {folder.name} was refused. {error.sentence}") from error
        fractions.append(fraction)
    tell("adding up", 0.6)
    accumulation = Accumulation(case, tuple(fractions), asked.ratios.of, _planned(case))
    return Course(case, tuple(fractions), accumulation, accumulation.summed(asked.ratios.general))


def _objects(folder: Path) -> tuple[Sequence[Received], list[Path]]:
    """What makes the case of a folder, and its registration objects. Raises RefusedInput."""
    contents = scan_folder(folder)
    found = assess(contents.received)
    if not found.complete:
        raise IncompleteCase(found.missing, remedy=f"Put what is missing into {folder.name}")
    return found.chosen, [item.path for item in contents.received if item.modality == Modality.REG]


def _planned(case: Case) -> Planned | None:
    """What the reference's own plan gives, to compare with."""
    if case.reference_dose_gy is None or not case.fractions:
        return None
    return Planned(case.reference_dose_gy, case.fractions)


def write_doses(course: Course, folder: Path) -> tuple[Path, Path]:
    """accumulated.dcm (physical) and accumulated_eqd2.dcm in `folder`, read back and compared. Raises ExportError,
    ReadBackMismatch, DiskFull, WriteFailed."""
    dose = course.dose
    return (
        _write(course, "physical", dose.dose_gy, folder / "accumulated.dcm"),
        _write(course, "EQD2", dose.eqd2_gy, folder / "accumulated_eqd2.dcm"),
    )


def _write(course: Course, quantity: Quantity, values_gy: NDArray[np.float32], path: Path) -> Path:
    save_durable(accumulated_dose_dataset(course.case, course.dose, course.fractions, quantity), path)
    compare_dose(path.name, *read_accumulated_dose(path), course.dose.grid, values_gy)
    return path
