"""What dose is computed on today: today's values where they can be believed, else the reference CT deformed to today
with what today's image knows better, or one density for each structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from appliance.case.today.hounsfield_check import check_hounsfield
from appliance.case.today.match import HALF, DayReference, external_of
from appliance.case.today.modality import DayImage, Imaging
from appliance.case.today.near_hounsfield import WATER_HU, near_hounsfield
from appliance.case.today.rules import finding, refusal
from appliance.case.today.seen import SeenRegion, slices_of
from appliance.config import AnatomyConfig
from appliance.contracts import Finding, Image, Outcome, Structure, StructureKind
from appliance.contracts.anatomy import DensitySource
from engines.calibration import Calibration, body_of, deformed_with_today, flattened, matched
from engines.calibration.curve import AIR_HU
from engines.errors import EngineError
from engines.grid import box_within, placed, shrunk
from engines.registration import DisplacementField

THIN_MM = 2.0
"""Voxels that a calibration is made from are averaged to about this (chosen: a quarter of the work, and less noise)."""

NEARLY_ALL = 0.99
"""Share of such a voxel that today's image must show."""


@dataclass(frozen=True, eq=False)
class DayDensity:
    """image: HU on today's grid, or on a larger one where today's image was cut off. filled: voxels (z, y, x) of it
    that today's image does not show, taken from the reference."""

    image: Image
    source: DensitySource
    filled: NDArray[np.bool_]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def density_map(
    reference: DayReference,
    today: DayImage,
    to_reference: DisplacementField,
    *,
    seen: SeenRegion,
    settings: AnatomyConfig,
    structures: Sequence[Structure] = (),
) -> DayDensity:
    """The image that dose is computed on, and what has to be said of it.

    to_reference: from today to the reference. seen: what today's image shows and how far the body reaches beyond it.
    structures: today's, on seen.larger, for an MR: with the density 'bulk' all of them count, with 'deformed' the
    External. Raises InconsistentCase `day.calibration`, `day.hounsfield`, `day.truncated`."""
    choice = _Chosen(reference, today, to_reference, seen, settings)
    if seen.cut_cc > 0 and not settings.extend:
        raise refusal("day.truncated", f"{seen.cut_cc:.0f} cm³ of the body lie outside its field of view")
    if today.imaging is Imaging.MR:
        made = choice.of_mr(structures)
    elif today.imaging is Imaging.CT:
        made = choice.of_ct()
    else:
        made = choice.of_cbct()
    hu, source, findings, words = made
    filled = seen.filled if seen.extends else np.zeros(seen.larger.shape, np.bool_)
    if seen.extends:
        hu = np.where(filled, choice.deformed, hu)
        words.append("Where today's image ends before the body does, the densities are the reference's")
    findings = [*findings, finding("day.density", f"Dose is computed on: {source.value}", Outcome.PASSED)]
    image = Image(seen.larger, np.rint(hu).astype(np.int16))
    return DayDensity(image, source, filled, tuple(findings), tuple(words))


class _Chosen:
    """The deformed reference on the grid of the result, and today's values made densities in each of the ways."""

    def __init__(
        self,
        reference: DayReference,
        today: DayImage,
        to_reference: DisplacementField,
        seen: SeenRegion,
        settings: AnatomyConfig,
    ) -> None:
        self.reference, self.today, self.settings, self.seen = reference, today, settings, seen
        self.to_reference = to_reference
        self.here = box_within(seen.grid, seen.larger)

    @cached_property
    def deformed(self) -> NDArray[np.float32]:
        """(z, y, x) HU of the reference on `larger`. Outside its outline lies what does not come with the patient:
        couch, mask, air."""
        hu = self.reference.series.image.hu
        return self._pulled(np.where(external_of(self.reference), hu, np.int16(AIR_HU)), AIR_HU)

    @cached_property
    def deformed_body(self) -> NDArray[np.bool_]:
        return self._pulled(external_of(self.reference), 0.0) >= HALF

    def _pulled(self, values: NDArray[np.generic], outside: float) -> NDArray[np.float32]:
        """Values of the reference on `larger`, looked for where its body comes to lie."""
        larger, box = self.seen.larger, self.seen.body_box
        there = larger.cropped(*box)
        out = np.full(larger.shape, outside, np.float32)
        source = self.reference.series.image.grid
        out[box_within(there, larger)] = self.to_reference.pulled(values, source, there, outside=outside)
        return out

    def of_ct(self) -> tuple[NDArray[np.floating], DensitySource, list[Finding], list[str]]:
        values = self.today.series.image.hu
        body, is_dose = body_of(values, self.seen.grid), self.settings.ct_density == "today"
        findings = check_hounsfield(values, body, self.reference, is_dose=is_dose)
        if is_dose:
            return self._whole(values), DensitySource.TODAY_CT, findings, [self._said(DensitySource.TODAY_CT)]
        return (*self._deformed(values.astype(np.float32), body), findings, [self._said(DensitySource.DEFORMED_CT)])

    def of_cbct(self) -> tuple[NDArray[np.floating], DensitySource, list[Finding], list[str]]:
        is_dose = self.settings.cbct_density == "calibrated"
        findings: list[Finding] = []
        words: list[str] = []
        try:
            hu, how = self._calibrated()
            words = [f"Its values were {how}"]
        except EngineError as error:
            reason = f"it cannot be calibrated to the reference CT: {error}"
            if is_dose:
                raise refusal("day.calibration", reason) from error
            near, how = near_hounsfield(self.reference, self.today, self.settings)
            hu = near.astype(np.float32)
            said = (
                f"{reason[0].upper()}{reason[1:]}. Outline and gas were seen on its values, made near Hounsfield units"
            )
            findings.append(finding("day.uncalibrated", f"{said} {how}"))
        hu[~self.seen.within] = AIR_HU
        body = body_of(hu, self.seen.grid)
        findings += check_hounsfield(hu, body, self.reference, is_dose=is_dose)
        if is_dose:
            return self._whole(hu), DensitySource.CALIBRATED, findings, [self._said(DensitySource.CALIBRATED), *words]
        return (*self._deformed(hu, body), findings, [self._said(DensitySource.DEFORMED_CT), *words])

    def of_mr(
        self, structures: Sequence[Structure]
    ) -> tuple[NDArray[np.floating], DensitySource, list[Finding], list[str]]:
        external = next((item for item in structures if item.kind is StructureKind.EXTERNAL), None)
        outline = external.voxels.mask(self.seen.larger.shape, HALF) if external else self.deformed_body
        body = outline[self.here]
        if self.settings.mr_density == "bulk":
            return self._bulk(structures, body), DensitySource.BULK, [], [self._said(DensitySource.BULK)]
        before = self.deformed[self.here]
        soft = np.where(self.deformed_body[self.here], before, np.float32(WATER_HU))
        made, source = self._deformed(soft, body)
        return made, source, [], [self._said(source), "Gas of the day is not seen on an MR: it is the reference's"]

    def _deformed(
        self, today_hu: NDArray[np.float32], body: NDArray[np.bool_]
    ) -> tuple[NDArray[np.floating], DensitySource]:
        made = deformed_with_today(self.deformed[self.here], today_hu, body, self.seen.within, self.seen.grid)
        return self._whole(made), DensitySource.DEFORMED_CT

    def _calibrated(self) -> tuple[NDArray[np.float32], str]:
        """Today's values in HU, and by what. Raises EngineError."""
        values, grid = self.today.series.image.hu, self.seen.grid
        if self.settings.phantom_points:
            curve = Calibration(np.asarray(self.settings.phantom_points, np.float64))
            return curve.hu(values), "made Hounsfield units by the phantom points of the configuration"
        box = self.seen.body_box_here
        near, seen = grid.cropped(*box), self.seen.within[slices_of(box)]
        before, both = self.deformed[self.here][slices_of(box)], self.deformed_body[self.here][slices_of(box)] & seen
        thin = [shrunk(part, near, THIN_MM)[0] for part in (values[slices_of(box)], before, seen)]
        curve, tissues = matched(thin[0], thin[1], thin[2] > NEARLY_ALL)
        hu = curve.hu(values)
        hu[slices_of(box)] = flattened(hu[slices_of(box)], before, both, near)
        return hu, f"calibrated to the reference CT by {', '.join(tissues)}, and flattened"

    def _bulk(self, structures: Sequence[Structure], body: NDArray[np.bool_]) -> NDArray[np.floating]:
        """The median HU that the reference has in each organ, and in the rest of its body."""
        source, inside = self.reference.series.image.hu, external_of(self.reference)
        made = np.where(body, np.float32(np.median(source[inside])), np.float32(AIR_HU))
        known = {item.tg263: item.voxels for item in self.reference.structures.structures}
        for item in sorted(structures, key=lambda one: -one.voxels.index.size):
            voxels = known.get(item.tg263)
            if item.kind is not StructureKind.ORGAN or voxels is None or voxels.empty:
                continue
            value = float(np.median(source.reshape(-1)[voxels.index[voxels.fraction >= HALF]]))
            made[item.voxels.mask(self.seen.larger.shape, HALF)[self.here]] = value
        return self._whole(made)

    def _whole(self, values: NDArray[np.floating] | NDArray[np.int16]) -> NDArray[np.floating]:
        whole = placed(values.astype(np.float32), self.seen.grid, self.seen.larger, outside=AIR_HU)
        return np.asarray(whole, np.float32)

    def _said(self, source: DensitySource) -> str:
        return f"Dose is computed on {source.value} ({self.today.imaging.value} of the day)"
