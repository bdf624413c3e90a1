"""`couchside dose`: the dose of any photon RTPLAN on a CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from appliance.case import ImageSeries, PlanReading, check_one_person, read_image, read_plan_file, read_structures
from appliance.cli.options import AsJson, ConfigFile, Device, settings, with_device
from appliance.cli.output import progress, result
from appliance.contracts import Received, Structure, StructureKind
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.errors import IncompleteCase, InconsistentCase
from appliance.inbound import read_folder
from appliance.planning import calculate_dose, device_errors, select_device

PlanFile = Annotated[Path, typer.Argument(metavar="RTPLAN", help="A photon plan (static or step-and-shoot).")]
CtFolder = Annotated[
    Path, typer.Option("--ct", metavar="DIR", help="The CT; an RTSTRUCT beside it gives the patient's outline.")
]
OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The RTDOSE to write.")]


def dose(
    rtplan: PlanFile,
    ct: CtFolder,
    out: OutFile,
    device: Device = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Calculate the dose of a plan on a CT and write it as RTDOSE."""
    planning = with_device(settings(config), device).planning
    choice = select_device(planning.device)
    with progress("Dose") as tell, device_errors():
        tell("reading", 0.0)
        reading, received = read_plan_file(rtplan), read_folder(ct)
        plan, series = reading.plan, _series(received, reading.frame_of_reference_uid)
        notes = [*reading.notes, *_check_belongs(reading, series)]
        structures = _structures(received, series)
        external = next((item for item in structures if item.kind is StructureKind.EXTERNAL), None)
        made = calculate_dose(
            plan,
            series.image,
            None if external is None else external.voxels,
            beam_model=planning.beam_model,
            density=planning.density,
            supports=tuple(item.voxels for item in structures if item.kind is StructureKind.SUPPORT),
            progress=tell,
        )
        dataset = dose_dataset(
            made.grid,
            made.dose_gy,
            identity=series.identity,
            frame_of_reference_uid=series.frame_of_reference_uid,
            plan=reading.source,
            structure_set=None,
        )
        hottest_gy = _hottest_gy(made.dose_gy)
        save_durable(dataset, out)
    document = {
        "out": str(out),
        "algorithm": made.algorithm,
        "beam_model": made.beam_model,
        "device": choice.backend.name,
        "fractions": plan.fractions,
        "mu": plan.mu,
        "maximum_gy": hottest_gy,
        "outline": "" if external is None else external.tg263,
        "notes": list(notes),
    }
    inside = "everywhere, air included (no RTSTRUCT)" if external is None else "inside the patient's outline"
    text = f"{out}: {hottest_gy:.2f} Gy at most in {plan.fractions} fractions, calculated {inside}, {made.algorithm}"
    result(document, "\n".join([*(f"- {note}" for note in notes), text]), as_json=as_json)


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
    if hottest_gy <= 0:
        raise InconsistentCase(
            "none of its beams reaches the patient on this CT",
            what="The plan",
            remedy="Check that the plan was made on this CT, or on one in the same coordinates",
            rule="dose.nowhere",
        )
    return hottest_gy


def _series(received: tuple[Received, ...], frame_of_reference_uid: str) -> ImageSeries:
    """The one CT series, or the one in the plan's frame of reference. Raises RefusedInput."""
    images: dict[str, list[Received]] = {}
    for item in received:
        if item.modality == "CT":
            images.setdefault(item.series_instance_uid, []).append(item)
    if not images:
        raise IncompleteCase("there is no CT in the folder", remedy="Give the folder of the CT with --ct")
    matching = [own for own in images.values() if own[0].frame_of_reference_uid == str(frame_of_reference_uid)]
    found = matching if len(images) > 1 else list(images.values())
    if len(found) != 1:
        raise InconsistentCase(
            f"there are {len(images)} CT series and the plan's frame of reference does not pick one of them",
            what="The folder",
            remedy="Put the one CT the dose is wanted on into a folder of its own",
            rule="dose.ct",
        )
    return read_image([item.path for item in found[0]])


def _structures(received: tuple[Received, ...], series: ImageSeries) -> tuple[Structure, ...]:
    """Of the structure set drawn on this series; () without one."""
    images = {source.sop_instance_uid for source in series.sources}
    sets = [item for item in received if item.modality == "RTSTRUCT" and not images.isdisjoint(item.references)]
    if not sets:
        return ()
    newest = max(sets, key=lambda item: (item.made_at, item.received_at))
    return tuple(read_structures(newest.path, series).structures)
