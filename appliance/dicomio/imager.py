"""Whether a CT image is one of a treatment machine's imager (a cone-beam CT), by what it says of its device.

Such an image is sent as CT Image Storage like any CT; DICOM has no attribute that tells them apart. So it is told by
who made it. Names: Varian, DICOM conformance statements of On-Board Imager 1.4 and 1.6 (KC1406D3CS, KC1601D3CS) and
TrueBeam Imaging 1.5 (TI1504D3CS); Elekta, that of XVI 5.0.6 (document 1014491)."""

from __future__ import annotations

import re
from collections.abc import Sequence

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

DEVICE = ("ManufacturerModelName", "StationName", "SeriesDescription", "ProtocolName", "ScanOptions")
"""Attributes in which the words are looked for, beside Manufacturer."""

_SEPARATORS = re.compile(r"[\s_\-./\\]+")


def told_by_device(texts: Sequence[str], manufacturer: str, names: Sequence[str] = ()) -> str:
    """What tells that an imager of a treatment machine made the image, a part of a sentence; '' where nothing does.
    texts: values of DEVICE; names: further words of the clinic's own machines, looked for like WORDS."""
    said = [f" {_plain(entry)} " for entry in (*texts, manufacturer)]
    for word in (*WORDS, *names):
        if any(f" {_plain(word)} " in entry for entry in said):
            return f"its device is described by '{word}'"
    is_maker = _plain(manufacturer).split(" ")[0] in MAKERS
    return f"its maker is {manufacturer}" if is_maker else ""


def _plain(words: str) -> str:
    return _SEPARATORS.sub(" ", words).strip().casefold()
