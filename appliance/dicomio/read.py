"""Reading one file into a dataset, whole and decoded, or saying in a sentence why not."""

from __future__ import annotations

import logging
import struct
import warnings
from pathlib import Path

import pydicom
import pydicom.config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag

from appliance.errors import RefusedObject

# pydicom puts the values it doubts, which may be a patient's, into warnings and its log. What it doubts and we need is
# refused by the rules of the stages, by name and without the value.
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

UNDEFINED_LENGTH = 0xFFFFFFFF
_CONTOUR_DATA = Tag("ContourData")

_DECODING_ERRORS = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom lets through on damaged bytes: it parses lazily and has no error type of its own for this."""


def read_dataset(path: Path, *, what: str, pixels: bool = True) -> Dataset:
    """The dataset of `path` with every element decoded, so that no later access can fail on damaged bytes.

    what: names the object in the refusal ("RTPLAN", "CT slice 12"); must hold no patient data. pixels=False stops
    before the pixel data (headers of many slices). Raises RefusedObject, rules: `unreadable` (no such file),
    `not-dicom`, `truncated`, `damaged`, `no-sop`.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=not pixels)
        _refuse_short_values(dataset, what)
        _decode_contours(dataset)
        dataset.walk(_decode)
    except OSError as error:
        if error.errno is None:  # pydicom's own, for an item without its delimiter
            raise _refused(what, "its sequences are damaged", "damaged") from error
        raise _refused(what, f"the file cannot be read ({error.strerror})", "unreadable") from error
    except InvalidDicomError as error:
        raise _refused(what, "it is not a DICOM file (the DICM prefix is missing)", "not-dicom") from error
    except EOFError as error:
        raise _refused(what, "the file ends in the middle of an element", "truncated") from error
    except _DECODING_ERRORS as error:
        raise _refused(what, f"its contents are damaged ({type(error).__name__} while decoding)", "damaged") from error
    if "SOPClassUID" not in dataset or "SOPInstanceUID" not in dataset:
        raise _refused(what, "it does not say what it is (no SOP class or instance UID)", "no-sop")
    if pixels:
        _refuse_short_pixels(dataset, what)
    return dataset


def _refused(what: str, reason: str, rule: str) -> RefusedObject:
    return RefusedObject(reason, what=what, remedy="Send or export the object again from its source", rule=rule)


def _decode(dataset: Dataset, element: object) -> None:
    """`Dataset.walk` converts each raw element before it calls this; nothing else is left to do."""


def _decode_contours(dataset: Dataset) -> None:
    """Contour points as plain floats: pydicom makes an object of each decimal string, 6 µs apiece, which for the
    million values of a clinical structure set takes longer than everything else together."""
    for roi in dataset.get("ROIContourSequence") or ():
        for contour in roi.get("ContourSequence") or ():
            raw = contour.get_item(_CONTOUR_DATA) if _CONTOUR_DATA in contour else None
            if isinstance(raw, RawDataElement) and raw.value and raw.VR in (None, "DS"):
                values = [float(value) for value in raw.value.split(b"\\")]
                contour[_CONTOUR_DATA] = DataElement(_CONTOUR_DATA, "DS", values, already_converted=True)


def _refuse_short_values(dataset: Dataset, what: str) -> None:
    """pydicom takes what is left of a file as the last value without a word; compare with the announced length."""
    for tag in dataset.keys():  # noqa: SIM118  (iterating the dataset itself would decode the elements)
        raw: object = dataset.get_item(tag)
        if not isinstance(raw, RawDataElement) or raw.length == UNDEFINED_LENGTH or raw.value is None:
            continue
        if len(raw.value) != raw.length:
            raise _refused(what, "the file is cut off", "truncated")


def _refuse_short_pixels(dataset: Dataset, what: str) -> None:
    """An image whose pixel data are missing or shorter than rows, columns and frames ask for (uncompressed only)."""
    if "Rows" not in dataset or "Columns" not in dataset:
        return
    data = dataset.get("PixelData")
    if data is None:
        raise _refused(what, "it has rows and columns but no pixel data", "truncated")
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed:
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    expected = dataset.Rows * dataset.Columns * frames * samples * (int(dataset.get("BitsAllocated") or 16) // 8)
    if len(data) < expected:
        raise _refused(what, f"it holds {len(data)} bytes of pixels where {expected} are needed", "truncated")
