"""Everything the checks look at: the objects as they are, and what reading and calculating made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.contracts import CalculatedDose, Image, Plan, PlanFacts, SecondCheck, Structure
from engines.grid import Grid, resample


@dataclass(frozen=True, eq=False)
class Objects:
    """Datasets as received. images: headers of the slices the plan is checked on, in any order, without pixels.
    sha256: of each file by SOP Instance UID. copies: files with the UID of another and other bytes, in words."""

    plan: Dataset
    dose: Dataset | None = None
    structures: Dataset | None = None
    images: tuple[Dataset, ...] = ()
    reference: Dataset | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[str, ...] = ()

    def named(self) -> list[tuple[str, Dataset]]:
        """(what it is called in evidence, dataset) of one CT slice and every other object there is."""
        found = [("CT", self.images[0])] if self.images else []
        others = (("structure set", self.structures), ("plan", self.plan), ("dose", self.dose))
        return [*found, *((name, dataset) for name, dataset in others if dataset is not None)]


@dataclass(frozen=True, eq=False)
class Material:
    """What reading made of the objects, or None; then `refusals` says why, by name: plan, image, structures, dose,
    machine, facts, second, reference.

    structures are on the image's grid. machine, model_energy: what the machine file and the beam model are for. facts:
    the machine's limits. second: the dose against an independent calculation, `recalculated`, which is of each beam
    too. missing: beams that pass through tissue that the image does not show, in words, and whether seriously.
    misplaced: beams whose isocentre is outside the image. source_mm: the source at each beam's first control point, by
    beam number."""

    objects: Objects
    plan: Plan | None = None
    image: Image | None = None
    structures: tuple[Structure, ...] = ()
    structure_notes: tuple[str, ...] = ()
    dose: CalculatedDose | None = None
    facts: PlanFacts | None = None
    second: SecondCheck | None = None
    recalculated: CalculatedDose | None = None
    reference: Plan | None = None
    machine: str = ""
    beam_model: str = ""
    model_energy: tuple[float, str] | None = None
    missing: tuple[tuple[str, bool], ...] = ()
    misplaced: tuple[str, ...] = ()
    source_mm: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)

    def why_no(self, name: str) -> str:
        return self.refusals.get(name, f"there is no {name}")

    def dose_on_image(self) -> NDArray[np.float32] | None:
        """(z, y, x) on the image grid, 0 beyond the dose grid; None without dose or image."""
        if self.dose is None or self.image is None:
            return None
        return resample(self.dose.dose_gy, self.dose.grid, self.image.grid)

    def dose_at(self, place_mm: tuple[float, ...]) -> float | None:
        """Trilinear, Gy; None outside the dose grid."""
        if self.dose is None:
            return None
        x, y, z = place_mm
        at = resample(self.dose.dose_gy, self.dose.grid, Grid((x, y, z), (1.0, 1.0, 1.0), (1, 1, 1)), outside=np.nan)
        return None if np.isnan(at.item()) else float(at.item())
