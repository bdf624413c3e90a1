"""Our gamma held to pymedphys's on doses of a plan: an independent implementation that samples in steps of a tenth of
the distance criterion. Its values may only lie above ours, and come down to them as the steps get finer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.contracts import Plan
from appliance.planning import calculate_dose
from appliance.planning.final_dose import DoseOptions
from engines.gamma import GammaCriteria, gamma_index
from engines.grid import Grid, resample

from ..planning.cases import cylinder_case, legal_plan

pymedphys = pytest.importorskip("pymedphys", reason="pymedphys is not installed (a development dependency)")

STEP_SLACK = 0.45
"""What a sample beside the true minimum can add, in quadrature: it lies up to half a step, 0.1 mm, away; with dose
changing by up to 15 % a millimetre, as in these penumbras, that is 1.5 % of dose, half a dose criterion."""
VERDICT_SHARE, VERDICT_SLACK = 0.002, 0.01
"""Stated agreement of pass and fail: at most 0.2 % of points differ, all with our gamma within 0.01 of 1."""

Dose = tuple[NDArray[np.float32], Grid]


def _moved(plan: Plan) -> Plan:
    """The same plan delivered 1.2 mm further left, 0.7 mm towards the head and with 1.5 % more monitor units."""
    x, y, z = plan.beams[0].isocentre_mm
    return replace(
        plan,
        beams=tuple(
            replace(
                beam,
                isocentre_mm=(x + 1.2, y, z + 0.7),
                control_points=tuple(replace(p, cumulative_mu=1.015 * p.cumulative_mu) for p in beam.control_points),
            )
            for beam in plan.beams
        ),
    )


GENERIC: DoseOptions = {"beam_model": "generic_6mv", "density": "generic_ct", "algorithm": "pencil_beam"}


@pytest.fixture(scope="module")
def doses() -> tuple[Dose, Dose]:
    case, plan = cylinder_case(4.0), legal_plan()
    first, second = (calculate_dose(p, case.image, case.external.voxels, **GENERIC) for p in (plan, _moved(plan)))
    return (first.dose_gy, first.grid), (second.dose_gy, second.grid)


def peer(reference: Dose, evaluated: Dose, **options: object) -> NDArray[np.float64]:
    """pymedphys.gamma at 3 %/2 mm, 10 % threshold; largest gamma 2."""
    (first, first_grid), (second, second_grid) = reference, evaluated
    axes = [tuple(reversed(grid.axes_mm())) for grid in (first_grid, second_grid)]
    given = {"lower_percent_dose_cutoff": 10, "max_gamma": 2, "interp_algo": "scipy", **options}
    return np.asarray(pymedphys.gamma(axes[0], first, axes[1], second, 3, 2, **given))


def compare(theirs: NDArray[np.float64], ours: NDArray[np.float32]) -> None:
    judged = np.isfinite(theirs)
    assert np.array_equal(judged, np.isfinite(ours)), "the same points are judged"
    above = theirs[judged] - ours[judged]
    assert above.min() > -2e-3 and above.mean() < 0.04
    assert np.sqrt(np.maximum(theirs[judged] ** 2 - ours[judged] ** 2, 0)).max() < STEP_SLACK
    differ = (theirs[judged] <= 1) != (ours[judged] <= 1)
    assert differ.mean() <= VERDICT_SHARE
    assert np.abs(ours[judged][differ] - 1).max(initial=0) < VERDICT_SLACK


@pytest.mark.parametrize("local", [False, True])
def test_it_is_pymedphys_gamma_without_its_steps(doses: tuple[Dose, Dose], local: bool) -> None:
    (reference, grid), (evaluated, _) = doses
    few = np.zeros(grid.shape, np.float32)
    few[8:17:4] = reference[8:17:4]
    ours = gamma_index(few, grid, evaluated, grid, criteria=GammaCriteria(local=local))
    assert ours.points > 2000 and 50.0 < ours.pass_percent < 99.9, "the doses differ enough to try it"
    compare(peer((few, grid), (evaluated, grid), local_gamma=local), ours.gamma)


def test_finer_steps_bring_the_peer_to_ours(doses: tuple[Dose, Dose]) -> None:
    (reference, grid), (evaluated, _) = doses
    few = np.zeros(grid.shape, np.float32)
    few[10:12, 10:30:2, 10:30:2] = reference[10:12, 10:30:2, 10:30:2]
    criteria = GammaCriteria(normalisation_gy=float(reference.max()))
    ours = gamma_index(few, grid, evaluated, grid, criteria=criteria)
    judged, above = np.isfinite(ours.gamma), []
    for steps in (10, 40):
        options = {"interp_fraction": steps, "global_normalisation": criteria.normalisation_gy}
        theirs = peer((few, grid), (evaluated, grid), **options)
        above.append(float((theirs[judged] - ours.gamma[judged]).mean()))
    assert 0 < above[1] < 0.4 * above[0]


def test_a_reference_on_another_grid(doses: tuple[Dose, Dose]) -> None:
    (reference, grid), evaluated = doses
    x, y, z = grid.origin_mm
    coarse = Grid((x + 3.1, y + 1.7, z + 2.2), (7.0, 6.0, 5.0), (15, 24, 20))
    sparse = resample(reference, grid, coarse)
    ours = gamma_index(sparse, coarse, evaluated[0], grid)
    compare(peer((sparse, coarse), evaluated), ours.gamma)
