"""One object under examination: its dataset without pixels, what was announced, and readers of its values.

No reader ever puts a value into a message: what is refused is named by attribute, never by content.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom import config as pydicom_config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import ImplicitVRLittleEndian

from appliance.errors import RefusedObject
from appliance.inbound.catalogue import ACCEPTED_CLASSES, COMPRESSED_SYNTAXES, NATIVE_SYNTAXES, Rule
from appliance.inbound.limits import Limits
from appliance.inbound.structure import BrokenStructure, Buffer, PixelExtent, walk

# pydicom warns of invalid values by quoting them, and a value may be a patient's name. The rules here judge values
# themselves, so the warnings are switched off for the process.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE

# PS3.5 9.1: components of digits, no leading zero in a component longer than one digit, at most 64 characters.
_UID = re.compile(r"(?=.{1,64}\Z)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_PIXEL_DATA = 0x7FE00010
_PLAIN_TEXT = frozenset({"CS", "DA", "DS", "IS", "TM", "UI"})  # default character repertoire (PS3.5 6.2)
_UNREADABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, NotImplementedError, EOFError)


def is_uid(text: str) -> bool:
    return _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class Announced:
    """What the sender said it sends: from the command, or from the file meta information of a file."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, eq=False)
class Subject:
    """name: how messages call the object, without patient data ('The CT image', 'slice7.dcm'). data: all bytes, pixel
    extents are offsets into it. announced: None for a file without meta information."""

    name: str
    dataset: Dataset
    transfer_syntax: str
    data: Buffer
    pixels: PixelExtent | None
    announced: Announced | None = None
    _texts: dict[str, str] = field(default_factory=dict, repr=False)

    def refusal(self, rule: Rule, reason: str, remedy: str) -> RefusedObject:
        return RefusedObject(reason, what=self.name, remedy=remedy, rule=rule.id)

    def has(self, keyword: str) -> bool:
        return keyword in self.dataset and self.text(keyword) != ""

    def text(self, keyword: str) -> str:
        """The value as stripped text, '' if absent or empty; several values joined by a backslash."""
        known = self._texts.get(keyword)
        if known is None:
            known = self._texts[keyword] = self.text_of(self.dataset, keyword)
        return known

    def text_of(self, dataset: Dataset, keyword: str) -> str:
        """As `text`, of an item of a sequence."""
        try:
            raw: object = dataset.get_item(keyword) if keyword in dataset else None
            if isinstance(raw, RawDataElement) and raw.VR in _PLAIN_TEXT and raw.value is not None:
                # Converting to pydicom's value types and back takes a quarter of the time an image is given.
                return "\\".join(item.strip(" \0") for item in raw.value.decode("ascii").split("\\"))
            value = dataset.get(keyword)
            if value is None:
                return ""
            if isinstance(value, MultiValue):
                return "\\".join(str(item).strip(" \0") for item in value)
            return str(value).strip(" \0")
        except _UNREADABLE as error:
            raise self._unreadable(keyword) from error

    def required(self, keyword: str) -> str:
        text = self.text(keyword)
        if not text:
            raise self.refusal(Rule.MISSING, f"it has no {keyword}", "Have the sending system export it with this set")
        return text

    def uid(self, keyword: str) -> str:
        """A required UID. Refuses what is no UID."""
        text = self.required(keyword)
        if not is_uid(text):
            raise self.refusal(
                Rule.UID_SYNTAX,
                f"its {keyword} is not a valid DICOM UID",
                "Export it again from a system that writes valid UIDs",
            )
        return text

    def numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        """`count` finite numbers. Refuses fewer, more, or what is no number."""
        texts = self.required(keyword).split("\\")
        try:
            numbers = tuple(map(float, texts))
        except ValueError as error:
            raise self._unreadable(keyword) from error
        if (count and len(numbers) != count) or not all(math.isfinite(number) for number in numbers):
            raise self._unreadable(keyword)
        return numbers

    def number(self, keyword: str) -> float:
        return self.numbers(keyword, 1)[0]

    def whole(self, keyword: str, *, least: int, most: int) -> int:
        number = self.number(keyword)
        if number != int(number) or not least <= number <= most:
            raise self._unreadable(keyword)
        return int(number)

    def items(self, keyword: str, *, of: Dataset | None = None) -> Iterator[Dataset]:
        """The items of a sequence, none if it is absent."""
        try:
            sequence = (self.dataset if of is None else of).get(keyword)
            yield from (item for item in sequence or () if isinstance(item, Dataset))
        except _UNREADABLE as error:
            raise self._unreadable(keyword) from error

    def _unreadable(self, keyword: str) -> RefusedObject:
        return self.refusal(
            Rule.UNREADABLE, f"its {keyword} has a value that cannot be used", "Correct it in the sending system"
        )


def name_of(sop_class_uid: str) -> str:
    _, name = ACCEPTED_CLASSES.get(sop_class_uid, ("", "object"))
    return f"The {name}"


def open_subject(
    data: Buffer, offset: int, *, transfer_syntax: str, announced: Announced | None, name: str, limits: Limits
) -> Subject:
    """Walks `data` from `offset` (the dataset, without file header) to its end and reads the values before the pixels.

    Raises RefusedObject if the transfer syntax is none of ours or the bytes do not parse to their end.
    """
    if transfer_syntax not in (*NATIVE_SYNTAXES, *COMPRESSED_SYNTAXES):
        raise RefusedObject(
            "its transfer syntax is not accepted",
            what=name,
            remedy="Export it uncompressed in little endian byte order",
            rule=Rule.SYNTAX.id,
        )
    is_implicit = transfer_syntax == ImplicitVRLittleEndian
    try:
        pixels = walk(data, offset, is_implicit=is_implicit, limits=limits)
        stop = len(data) if pixels is None else pixels.offset
        dataset = read_dataset(
            io.BytesIO(data[offset:stop]), is_implicit, True, stop_when=_at_pixels, bytelength=stop - offset
        )
    except BrokenStructure as error:
        raise _broken(name, str(error)) from error
    except (*_UNREADABLE, RecursionError) as error:
        raise _broken(name, "an element that cannot be read") from error
    return Subject(name, dataset, transfer_syntax, data, pixels, announced)


def _broken(name: str, why: str) -> RefusedObject:
    return RefusedObject(
        f"it is not a whole DICOM dataset ({why})",
        what=name,
        remedy="It was probably cut off or damaged on the way; send it again",
        rule=Rule.STRUCTURE.id,
    )


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) == _PIXEL_DATA
