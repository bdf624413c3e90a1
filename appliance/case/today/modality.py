"""What today's image is, CT, cone-beam CT or MR, and the image read as what it is.

A cone-beam CT of a treatment machine is sent as CT Image Storage like any CT; DICOM has no attribute that tells them
apart. So it is told by who made it. Names: Varian, DICOM conformance statements of On-Board Imager 1.4 and 1.6
(KC1406D3CS, KC1601D3CS) and TrueBeam Imaging 1.5 (TI1504D3CS); Elekta, that of XVI 5.0.6 (document 1014491)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from appliance.case.image import ImageSeries, modality_of, read_image
from appliance.case.planes import RESEND
from appliance.case.scanner import Scanner
from appliance.dicomio.read import read_dataset
from appliance.errors import InconsistentCase

MAKERS = ("varian", "elekta", "accuray", "tomotherapy")
"""Who make treatment machines with CT-like imagers and no CT scanners (chosen: an image taken for one of a treatment
machine is calibrated, which does a good CT no harm; the other way round its values would be believed)."""

WORDS = (
    *("cbct", "cone beam", "conebeam", "kvct", "mvct", "mvcbct"),
    *("on board imager", "obi", "truebeam", "halcyon", "ethos", "hypersight"),
    *("xvi", "symmetry 4d", "versa hd"),
    *("full fan", "half fan"),
)
"""Words of imagers and of how they scan, in what an image says of its device."""

_SEPARATORS = re.compile(r"[\s_\-./\\]+")


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
    machines, looked for like WORDS, in every text the image has of its device."""
    if modality == "MR":
        return Imaging.MR, "It is an MR image"
    texts = (scanner.model, scanner.station, scanner.series_description, scanner.protocol, scanner.scan_options)
    said = [f" {_plain(entry)} " for entry in (*texts, scanner.manufacturer)]
    for word in (*WORDS, *names):
        if any(f" {_plain(word)} " in entry for entry in said):
            return Imaging.CBCT, f"It is an image of a treatment machine: its device is described by '{word}'"
    maker = _plain(scanner.manufacturer).split(" ")[0]
    if maker in MAKERS:
        return Imaging.CBCT, f"It is an image of a treatment machine: its maker is {scanner.manufacturer}"
    return Imaging.CT, "It is a CT: nothing in it names the imager of a treatment machine"


def _plain(words: str) -> str:
    return _SEPARATORS.sub(" ", words).strip().casefold()


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
