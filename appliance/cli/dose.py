"""`couchside dose`: the dose of any photon RTPLAN on a CT."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from appliance.case import ImageSeries, read_image, read_plan, read_structures
from appliance.cli.options import AsJson, ConfigFile, settings
from appliance.cli.output import progress, result
from appliance.contracts import Received, SourceObject, Structure, StructureKind
from appliance.dicomio.dose import dose_dataset
from appliance.dicomio.files import save_durable
from appliance.dicomio.read import read_dataset
from appliance.errors import IncompleteCase, InconsistentCase
from appliance.inbound import read_folder
from appliance.planning import calculate_dose

PlanFile = Annotated[Path, typer.Argument(metavar="RTPLAN", help="A photon plan (static or step-and-shoot).")]
CtFolder = Annotated[
    Path, typer.Option("--ct", metavar="DIR", help="The CT; an RTSTRUCT beside it gives the patient's outline.")
]
OutFile = Annotated[Path, typer.Option("--out", metavar="FILE", help="The RTDOSE to write.")]


def dose(rtplan: PlanFile, ct: CtFolder, out: OutFile, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Calculate the dose of a plan on a CT and write it as RTDOSE."""
    planning = settings(config).planning
    with progress("Dose") as tell:
        tell("reading", 0.0)
        plan, received = read_plan(rtplan), read_folder(ct)
        series = _series(received, read_dataset(rtplan, what="RTPLAN").get("FrameOfReferenceUID", ""))
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
            plan=_source(rtplan),
            structure_set=None,
        )
        save_durable(dataset, out)
    hottest_gy = float(made.dose_gy.max())
    document = {
        "out": str(out),
        "algorithm": made.algorithm,
        "beam_model": made.beam_model,
        "fractions": plan.fractions,
        "mu": plan.mu,
        "maximum_gy": hottest_gy,
        "outline": "" if external is None else external.tg263,
    }
    inside = "everywhere, air included (no RTSTRUCT)" if external is None else "inside the patient's outline"
    text = f"{out}: {hottest_gy:.2f} Gy at most in {plan.fractions} fractions, calculated {inside}, {made.algorithm}"
    result(document, text, as_json=as_json)


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


def _source(path: Path) -> SourceObject:
    dataset = read_dataset(path, what="RTPLAN")
    return SourceObject(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        modality="RTPLAN",
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
