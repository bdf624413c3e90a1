"""What today's image is, CT, cone-beam CT or MR (dicomio/imager.py tells), and the image read as what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from appliance.case.image import ImageSeries, modality_of, read_image
from appliance.case.planes import RESEND
from appliance.case.scanner import Scanner
from appliance.dicomio.imager import told_by_device
from appliance.dicomio.read import read_dataset
from appliance.errors import InconsistentCase


class Imaging(StrEnum):
    CT = "CT"
    CBCT = "cone-beam CT"
    MR = "MR"


@dataclass(frozen=True, eq=False)
class DayImage:
    """series: its image has modality 'CT', 'CBCT' or 'MR'; only of 'CT' are the values HU. told_by: why it was taken
    for this, a sentence."""

    series: ImageSeries
    imaging: Imaging
    told_by: str


def imaging_of(modality: str, scanner: Scanner, names: Sequence[str] = ()) -> tuple[Imaging, str]:
    """What the image is and the words that told. modality: 'CT' or 'MR'; names: further words of the clinic's own
    machines (`told_by_device`)."""
    if modality == "MR":
        return Imaging.MR, "It is an MR image"
    texts = (scanner.model, scanner.station, scanner.series_description, scanner.protocol, scanner.scan_options)
    if told := told_by_device(texts, scanner.manufacturer, names):
        return Imaging.CBCT, f"It is an image of a treatment machine: {told}"
    return Imaging.CT, "It is a CT: nothing in it names the imager of a treatment machine"


def read_day(paths: Sequence[Path], *, names: Sequence[str] = ()) -> DayImage:
    """Today's image as it is: HU of a CT; values as sent of a cone-beam CT, whose calibration nobody vouches for, and
    of an MR. Raises as `read_image`."""
    if not paths:
        raise InconsistentCase("it has no slices", what="Today's image", remedy=RESEND, rule="slices.too-few")
    what = "Today's image"
    header = read_dataset(paths[0], what=what, pixels=False)
    imaging, told_by = imaging_of(modality_of(header, what), Scanner.of(header), names)
    series = read_image(paths, hounsfield=imaging is Imaging.CT)
    if imaging is Imaging.CBCT:
        series = replace(series, image=replace(series.image, modality="CBCT"))
    return DayImage(series, imaging, told_by)
