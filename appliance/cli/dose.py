"""`couchside dose`: the dose of any photon RTPLAN on a CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from appliance.case import ImageSeries, PlanReading, check_one_person, read_plan_file
from appliance.cli.options import AlgorithmName, AsJson, ConfigFile, Device, chosen_algorithm, settings, with_device
from appliance.cli.output import progress, result
from appliance.cli.plan_on_ct import check_fits_image, check_within_machine, read_series, series_of, structures_on
from appliance.config import PlanningConfig
from appliance.contracts import CalculatedDose, Structure, StructureKind
from appliance.contracts.progress import Progress
from appliance.dicomio.dose import dose_dataset, name_medium
from appliance.dicomio.files import save_durable
from appliance.errors import InconsistentCase
from appliance.inbound import read_folder
from appliance.planning import calculate_dose, dose_options, select_device

PlanFile = Annotated[
    Path, typer.Argument(metavar="RTPLAN", help="A photon plan: static, step-and-shoot, sliding window or VMAT.")
]
CtFolder = Annotated[
    Path, typer.Option("--ct", metavar="DIR", help="The CT; an RTSTRUCT beside it gives the patient's outline.")
]
OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The RTDOSE to write.")]


def dose(
    rtplan: PlanFile,
    ct: CtFolder,
    out: OutFile,
    algorithm: AlgorithmName = "",
    device: Device = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Calculate the dose of a plan on a CT and write it as RTDOSE."""
    planning = with_device(settings(config), device).planning
    planning = planning.model_copy(update={"algorithm": chosen_algorithm(algorithm, planning.algorithm)})
    choice = select_device(planning.device)
    with progress("Dose") as tell:
        tell("reading", 0.0)
        reading, received = read_plan_file(rtplan), read_folder(ct)
        slices = series_of(received, reading.frame_of_reference_uid)
        series = read_series(slices)
        notes = [*reading.notes, *_check_belongs(reading, series)]
        drawn = structures_on(received, slices, series)
        structures = () if drawn is None else drawn.structures
        external = _external(structures)
        notes += check_fits_image(reading.plan, series.image, None if external is None else external.voxels)
        made = calculate_on(reading, series, structures, planning, tell)
        # Last: that a plan cannot be computed at all says more than a limit it breaks.
        notes += check_within_machine(reading.plan, planning.machine)
        hottest_gy = _hottest_gy(made.dose_gy)
        save_durable(_dataset(made, reading, series), out)
    plan = reading.plan
    document = {
        "out": str(out),
        "algorithm": made.algorithm,
        "dose_to": made.dose_to,
        "beam_model": made.beam_model,
        "device": choice.backend.name,
        "technique": plan.technique,
        "fractions": plan.fractions,
        "mu": plan.mu,
        "maximum_gy": hottest_gy,
        "outline": "" if external is None else external.tg263,
        "notes": [*notes, *made.notes],
    }
    inside = "everywhere, air included (no RTSTRUCT)" if external is None else "inside the patient's outline"
    text = (
        f"{out}: {hottest_gy:.2f} Gy to {made.dose_to} at most in {plan.fractions} fractions, calculated {inside}, "
        f"{made.algorithm}"
    )
    result(document, "\n".join([*(f"- {note}" for note in (*notes, *made.notes)), text]), as_json=as_json)


def calculate_on(
    reading: PlanReading,
    series: ImageSeries,
    structures: tuple[Structure, ...],
    planning: PlanningConfig,
    tell: Progress,
    *,
    per_beam: bool = False,
) -> CalculatedDose:
    """By the configured algorithm, inside the External where there is one. Raises PlanningError, ModelError."""
    external = _external(structures)
    select_device(planning.device)
    return calculate_dose(
        reading.plan,
        series.image,
        None if external is None else external.voxels,
        per_beam=per_beam,
        progress=tell,
        **dose_options(planning, structures),
    )


def _external(structures: tuple[Structure, ...]) -> Structure | None:
    return next((item for item in structures if item.kind is StructureKind.EXTERNAL), None)


def _dataset(made: CalculatedDose, reading: PlanReading, series: ImageSeries) -> Dataset:
    dataset = dose_dataset(
        made.grid,
        made.dose_gy,
        identity=series.identity,
        frame_of_reference_uid=series.frame_of_reference_uid,
        plan=reading.source,
        structure_set=None,
    )
    name_medium(dataset, made)
    return dataset


def _check_belongs(plan: PlanReading, series: ImageSeries) -> tuple[str, ...]:
    """Notes on how the plan fits the CT. Raises InconsistentCase for another person, or one who lies another way."""
    check_one_person(series.identity, [plan.identity])
    stated, planned = series.patient_position, plan.plan.patient_position
    if stated and stated != planned:
        raise InconsistentCase(
            f"it treats the patient {planned}, who lies {stated} on the CT",
            what="The plan",
            remedy="Give the CT in which the patient lies as in the plan",
            rule="case.patient-position",
        )
    if plan.frame_of_reference_uid in ("", series.frame_of_reference_uid):
        return ()
    return ("The plan is in another frame of reference than the CT: its isocentre is taken at the same coordinates",)


def _hottest_gy(dose_gy: NDArray[np.float32]) -> float:
    hottest_gy = float(dose_gy.max())
    if not np.isfinite(hottest_gy) or hottest_gy <= 0:
        raise InconsistentCase(
            "none of its beams reaches the patient on this CT",
            what="The plan",
            remedy="Check that the plan was made on this CT, or on one in the same coordinates",
            rule="dose.nowhere",
        )
    return hottest_gy
