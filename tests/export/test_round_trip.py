"""The product's own readers, which the session hands to the read-back, see every plan and dose that we can write."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.case import read_dose, read_plan
from appliance.contracts import Beam, CalculatedDose, ControlPoint, Jaws, Plan, SourceObject
from appliance.dicomio.files import save_durable
from appliance.dicomio.plan import plan_dataset
from appliance.dicomio.structure_set import structure_set_dataset
from appliance.export import read_back, write_export_set
from appliance.export.read_back_plan import compare_plan

from .conftest import Approved, approve

leaf = st.floats(-150, 150)
angle = st.floats(0, 360, exclude_max=True)


@pytest.fixture(scope="module")
def structures(approved: Approved, tmp_path_factory: pytest.TempPathFactory) -> SourceObject:
    case = approved.case
    dataset = structure_set_dataset(
        case.structures,
        identity=case.identity,
        frame_of_reference_uid=case.frame_of_reference_uid,
        images=case.images,
        label="Today",
    )
    return save_durable(dataset, tmp_path_factory.mktemp("rs") / "RS.dcm")


@st.composite
def control_points(draw: st.DrawFn, pairs: int, moving: bool) -> tuple[ControlPoint, ...]:
    steps = draw(st.lists(st.floats(0, 40), min_size=1, max_size=8).filter(lambda mu: sum(mu) > 1))
    start_deg, collimator_deg, couch_deg = draw(angle), draw(angle), draw(angle)
    turns = [draw(st.floats(-170, 170)) if moving else 0.0 for _ in steps]
    points = []
    mu, gantry_deg = 0.0, start_deg
    for step, turn in zip((0.0, *steps), (0.0, *turns), strict=True):
        mu, gantry_deg = mu + step, (gantry_deg + turn) % 360.0
        a = [draw(leaf) for _ in range(pairs)]
        gaps = [draw(st.floats(0, 100)) for _ in range(pairs)]
        jaws = Jaws(
            draw(st.floats(-200, 0)), draw(st.floats(0, 200)), draw(st.floats(-200, 0)), draw(st.floats(0, 200))
        )
        b = tuple(one + gap for one, gap in zip(a, gaps, strict=True))
        points.append(ControlPoint(mu, gantry_deg, collimator_deg, couch_deg, jaws, tuple(a), b))
    return tuple(points)


@st.composite
def beams(draw: st.DrawFn, number: int) -> Beam:
    pairs = draw(st.sampled_from([0, 3, 60]))
    return Beam(
        number=number,
        name=draw(st.text("AG 0123", min_size=1, max_size=12)).strip() or "x",
        machine="millennium120",
        energy_mv=draw(st.sampled_from([6.0, 10.0, 15.0])),
        fluence_mode=draw(st.sampled_from(["STANDARD", "FFF"])),
        isocentre_mm=draw(st.tuples(leaf, leaf, leaf)),
        sad_mm=1000.0,
        dose_rate_mu_min=600.0,
        leaf_boundaries_mm=tuple(5.0 * index - 150 for index in range(pairs + 1)) if pairs else (),
        control_points=draw(control_points(pairs, draw(st.booleans()))),
    )


@settings(max_examples=25, deadline=None)
@given(
    first=beams(number=1),
    second=beams(number=7),
    fractions=st.integers(1, 40),
    position=st.sampled_from(["HFS", "FFP"]),
)
def test_any_plan_reads_back_to_itself(
    first: Beam,
    second: Beam,
    fractions: int,
    position: str,
    approved: Approved,
    structures: SourceObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    plan = Plan("any", (first, second), fractions, position)
    dataset = plan_dataset(
        plan, identity=approved.case.identity, structure_set=structures, predecessor=None, prescription=()
    )
    path = save_durable(dataset, tmp_path_factory.mktemp("plan") / "RP.dcm").path
    read = read_plan(path)
    compare_plan(read, plan)
    for one, other in zip(read.beams, plan.beams, strict=True):
        assert one.mu == pytest.approx(other.mu, abs=1e-6)
        assert all(a.cumulative_mu <= b.cumulative_mu for a, b in pairwise(one.control_points))
        for point in one.control_points:
            assert all(a <= b for a, b in zip(point.leaf_a_mm, point.leaf_b_mm, strict=True))


@pytest.mark.parametrize("per_beam", [False, True])
def test_a_set_reads_back_with_the_readers_of_the_session(per_beam: bool, approved: Approved, tmp_path: Path) -> None:
    written = write_export_set(
        approved.case, approved.plan, approved.dose, approved.approval, tmp_path, per_beam_dose=per_beam
    )
    read_back(written, approved.case, approved.plan, approved.dose, read_plan=read_plan, read_dose=read_dose)


@pytest.mark.parametrize("maximum_gy", [1e-3, 2.0, 79.2, 1000.0])
def test_dose_reads_back_within_the_promise(maximum_gy: float, approved: Approved, tmp_path: Path) -> None:
    dose_gy = np.random.default_rng(5).random(approved.dose.grid.shape).astype(np.float32) * np.float32(maximum_gy)
    dose = CalculatedDose(approved.dose.grid, dose_gy, approved.plan.digest, "test", "generic_6mv")
    approval = approve(approved.case, approved.plan, dose)
    written = write_export_set(approved.case, approved.plan, dose, approval, tmp_path)
    grid, read_gy = read_dose(written.doses[0])
    assert grid.same_as(dose.grid)
    assert float(np.abs(read_gy - dose_gy).max()) < 1e-5 * maximum_gy


@pytest.mark.peer
def test_a_first_plan_with_jaws_only_passes_dciodvfy(
    approved: Approved, structures: SourceObject, tmp_path: Path
) -> None:
    """No predecessor, no multileaf collimator, no approval: the other side of each condition of the writer."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    beam = approved.plan.beams[0]
    points = tuple(replace(point, leaf_a_mm=(), leaf_b_mm=()) for point in beam.control_points)
    plan = replace(approved.plan, beams=(replace(beam, leaf_boundaries_mm=(), control_points=points),))
    dataset = plan_dataset(
        plan, identity=approved.case.identity, structure_set=structures, predecessor=None, prescription=()
    )
    path = save_durable(dataset, tmp_path / "RP.dcm").path
    compare_plan(read_plan(path), plan)
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="latin-1", check=False)
    assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []
