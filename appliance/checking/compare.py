"""Two calculated doses of one plan, compared as AAPM TG-218 and MPPG 11.a ask: gamma, targets, points, histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from appliance.checking.tolerances import (
    GAMMA_ACTION_PERCENT,
    GAMMA_TOLERANCE_PERCENT,
    REPORTED_POINT_SHARE,
    SECONDARY_DOSE_PERCENT,
)
from appliance.contracts import (
    BeamPoint,
    CalculatedDose,
    DvhDifference,
    Plan,
    SecondCheck,
    Structure,
    StructureKind,
    TargetDifference,
)
from appliance.errors import EvaluationError
from engines.dvh import DoseVolume
from engines.errors import EngineError
from engines.gamma import GammaCriteria, GammaResult, gamma_index
from engines.grid import Grid, resample

CRITERIA = GammaCriteria()

METRICS: dict[str, float | None] = {"D2%": 2.0, "D50%": 50.0, "D98%": 98.0, "Mean": None}


def compare_doses(
    plan: Plan, primary: CalculatedDose, secondary: CalculatedDose, structures: Sequence[Structure] = ()
) -> SecondCheck:
    """The plan's dose `primary` against the independent `secondary`, both of all fractions.

    structures lie on secondary.grid, where all is compared: gamma inside the External (everywhere without one, where
    the dose is above the threshold), the other figures where the structures are. The second dose is gamma's reference,
    as a measured one would be. Raises EvaluationError where nothing can be compared."""
    external = next((item for item in structures if item.kind is StructureKind.EXTERNAL), None)
    inside = None if external is None else external.voxels.mask(secondary.grid.shape)
    try:
        gamma = gamma_index(
            secondary.dose_gy, secondary.grid, primary.dose_gy, primary.grid, criteria=CRITERIA, inside=inside
        )
    except EngineError as error:
        raise EvaluationError(f"the two doses cannot be compared ({error})") from error
    here = resample(primary.dose_gy, primary.grid, secondary.grid)
    used = [item for item in structures if item.kind is not StructureKind.SUPPORT and not item.voxels.empty]
    targets = tuple(_target(item, here, secondary.dose_gy) for item in used if item.kind is StructureKind.TARGET)
    point = check_point(plan, secondary)
    beams = _beams(plan, primary, secondary, point)
    point_percent = _percent(float(here[point]), float(secondary.dose_gy[point]))
    reasons, remarks = _judgement(gamma, targets, point_percent)
    x, y, z = (float(axis[i]) for axis, i in zip(secondary.grid.axes_mm(), reversed(point), strict=True))
    return SecondCheck(
        primary=primary.algorithm,
        secondary=secondary.algorithm,
        agrees=not reasons,
        sentences=(*reasons, *remarks),
        plan_digest=plan.digest,
        dose_digest=primary.digest,
        secondary_digest=secondary.digest,
        gamma_criteria=str(CRITERIA),
        gamma_pass_percent=gamma.pass_percent,
        gamma_mean=gamma.mean,
        gamma_points=gamma.points,
        targets=targets,
        point_mm=(x, y, z),
        point_difference_percent=point_percent,
        beams=beams,
        structures=tuple(_dvh(item, here, secondary.dose_gy) for item in used),
    )


def unavailable(plan: Plan, primary: CalculatedDose, why: str) -> SecondCheck:
    """No independent calculation was made: nothing agrees, and a person has to say that this is known."""
    sentence = f"The dose was not checked by a second, independent calculation: {why}"
    return SecondCheck(primary.algorithm, "", False, (sentence,), plan.digest, primary.digest)


def check_point(plan: Plan, dose: CalculatedDose) -> tuple[int, int, int]:
    """Voxel (z, y, x) of the check point: the first beam's isocentre, or the maximum (REPORTED_POINT_SHARE)."""
    hottest = np.unravel_index(int(np.argmax(dose.dose_gy)), dose.grid.shape)
    isocentre = np.asarray(plan.beams[0].isocentre_mm)
    at = np.rint((isocentre - dose.grid.origin_mm) / dose.grid.spacing_mm).astype(int)[::-1]
    if np.all(at >= 0) and np.all(at < dose.grid.shape):
        place = (int(at[0]), int(at[1]), int(at[2]))
        if dose.dose_gy[place] >= REPORTED_POINT_SHARE * dose.dose_gy[hottest]:
            return place
    return int(hottest[0]), int(hottest[1]), int(hottest[2])


def _judgement(
    gamma: GammaResult, targets: Sequence[TargetDifference], point_percent: float
) -> tuple[list[str], list[str]]:
    """(reasons why the doses do not agree, remarks). No reason: they agree."""
    reasons, remarks = [], []
    rate = f"{gamma.pass_percent:.1f} % of {gamma.points} points pass gamma {gamma.criteria}"
    if gamma.pass_percent < GAMMA_ACTION_PERCENT:
        reasons.append(f"{rate}, below the action limit of {GAMMA_ACTION_PERCENT:g} % (TG-218)")
    elif gamma.pass_percent < GAMMA_TOLERANCE_PERCENT:
        reasons.append(f"{rate}, below the tolerance limit of {GAMMA_TOLERANCE_PERCENT:g} % (TG-218)")
    else:
        remarks.append(f"{rate} (TG-218 asks for {GAMMA_TOLERANCE_PERCENT:g} %)")
    for target in targets:
        worst = max(target.mean_percent, target.median_percent, key=abs)
        said = f"{target.structure}: the second calculation gives {worst:+.1f} % (mean or median dose)"
        over = abs(worst) > SECONDARY_DOSE_PERCENT
        (reasons if over else remarks).append(
            f"{said}, more than {SECONDARY_DOSE_PERCENT:g} % (MPPG 11.a)" if over else said
        )
    said = f"At the check point the second calculation gives {point_percent:+.1f} %"
    if abs(point_percent) > SECONDARY_DOSE_PERCENT:
        reasons.append(f"{said}, more than {SECONDARY_DOSE_PERCENT:g} % (MPPG 11.a)")
    else:
        remarks.append(said)
    return reasons, remarks


def _beams(
    plan: Plan, primary: CalculatedDose, secondary: CalculatedDose, point: tuple[int, int, int]
) -> tuple[BeamPoint, ...]:
    if len(primary.beam_dose_gy) != len(plan.beams) or len(secondary.beam_dose_gy) != len(plan.beams):
        return ()
    x, y, z = (float(axis[i]) for axis, i in zip(secondary.grid.axes_mm(), reversed(point), strict=True))
    place = Grid((x, y, z), (1.0, 1.0, 1.0), (1, 1, 1))
    whole_gy = float(secondary.dose_gy[point])
    firsts = [resample(beam_gy, primary.grid, place).item() for beam_gy in primary.beam_dose_gy]
    return tuple(
        BeamPoint(
            beam=beam.number,
            primary_gy=first,
            secondary_gy=float(second[point]),
            difference_percent=100.0 * (float(second[point]) - first) / whole_gy if whole_gy else 0.0,
        )
        for beam, first, second in zip(plan.beams, firsts, secondary.beam_dose_gy, strict=True)
    )


def _volumes(
    structure: Structure, primary_gy: NDArray[np.float32], secondary_gy: NDArray[np.float32]
) -> tuple[DoseVolume, DoseVolume]:
    index, fraction = structure.voxels.index, structure.voxels.fraction
    first, second = (
        DoseVolume.of(np.maximum(dose.reshape(-1)[index], 0), fraction) for dose in (primary_gy, secondary_gy)
    )
    return first, second


def _target(
    structure: Structure, primary_gy: NDArray[np.float32], secondary_gy: NDArray[np.float32]
) -> TargetDifference:
    first, second = _volumes(structure, primary_gy, secondary_gy)
    return TargetDifference(
        structure.tg263,
        _percent(first.mean_gy, second.mean_gy),
        _percent(first.dose_at_percent(50), second.dose_at_percent(50)),
    )


def _dvh(structure: Structure, primary_gy: NDArray[np.float32], secondary_gy: NDArray[np.float32]) -> DvhDifference:
    first, second = _volumes(structure, primary_gy, secondary_gy)
    figures = {
        name: (first.mean_gy, second.mean_gy) if percent is None else
        (first.dose_at_percent(percent), second.dose_at_percent(percent))
        for name, percent in METRICS.items()
    }  # fmt: skip
    worst = max(figures, key=lambda name: abs(figures[name][1] - figures[name][0]))
    return DvhDifference(structure.tg263, worst, *figures[worst])


def _percent(primary: float, secondary: float) -> float:
    """Of the primary; 0 where both are 0, 100 where only the primary is."""
    if primary == 0:
        return 0.0 if secondary == 0 else 100.0
    return 100.0 * (secondary - primary) / primary
