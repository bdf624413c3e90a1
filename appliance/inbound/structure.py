"""Does a dataset parse to its last byte? A walk over tags, VRs and lengths (PS3.5 section 7) that decodes no value.

Readers that serve people with damaged files are lenient: a truncated value is returned short, random bytes are an
empty dataset. A receiver that answers Success for such an object has lost it. So the encoding is walked strictly,
before anything is believed.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

from pydicom._dicom_dict import DicomDictionary

from appliance.inbound.limits import Limits

Buffer = bytes | mmap.mmap

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010
_TAG_VR_LENGTH = struct.Struct("<HH2sH")
_TAG_LENGTH = struct.Struct("<HHL")
_LENGTH = struct.Struct("<L")
# PS3.5 table 7.1-1 and 7.1-2: these have two reserved bytes and a 32-bit length, all others a 16-bit length.
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_SEQUENCE_TAGS = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")


class BrokenStructure(ValueError):
    """The bytes are no dataset in this encoding. The text names the offset, never a value."""


@dataclass(frozen=True)
class PixelExtent:
    """Where the pixel data lies in the dataset. fragments: (offset, length) of each fragment of a compressed image,
    without the basic offset table; empty for native pixels."""

    offset: int
    length: int
    fragments: tuple[tuple[int, int], ...] = ()
    is_encapsulated: bool = False


class _Walk:
    def __init__(self, data: Buffer, is_implicit: bool, limits: Limits) -> None:
        self.data = data
        self.is_implicit = is_implicit
        self.limits = limits
        self.elements = 0
        self.pixels: PixelExtent | None = None

    def _fail(self, at: int, why: str) -> BrokenStructure:
        return BrokenStructure(f"{why} at byte {at}")

    def _header(self, at: int, end: int, is_implicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR (empty if implicit or a delimiter), length, and where the value starts."""
        if at + 8 > end:
            raise self._fail(at, "the data end within an element")
        group, element, length = _TAG_LENGTH.unpack_from(self.data, at)
        tag = group << 16 | element
        if is_implicit or group == 0xFFFE:
            return tag, b"", length, at + 8
        _, _, vr, short = _TAG_VR_LENGTH.unpack_from(self.data, at)
        if vr in _SHORT_VRS:
            return tag, vr, short, at + 8
        if vr not in _LONG_VRS:
            raise self._fail(at, "an unknown value representation")
        if at + 12 > end:
            raise self._fail(at, "the data end within an element")
        return tag, vr, _LENGTH.unpack_from(self.data, at + 8)[0], at + 12

    def elements_of(self, at: int, end: int, *, depth: int, is_implicit: bool, open_ended: bool = False) -> int:
        """Walks the elements of a dataset or item; returns where it ends."""
        if depth > self.limits.depth:
            raise self._fail(at, f"sequences nested more than {self.limits.depth} deep")
        previous = -1
        while at < end:
            tag, vr, length, value = self._header(at, end, is_implicit)
            if tag == _ITEM_END and open_ended:
                return value
            if tag <= previous or not 0x0008 <= tag >> 16 < 0xFFFE:
                raise self._fail(at, "an element out of order")
            previous = tag
            self.elements += 1
            if self.elements > self.limits.elements:
                raise self._fail(at, f"more than {self.limits.elements} elements")
            at = self._value(tag, vr, length, value, end=end, depth=depth, is_implicit=is_implicit)
        if open_ended:
            raise self._fail(at, "the data end within an item")
        return at

    def _value(self, tag: int, vr: bytes, length: int, at: int, *, end: int, depth: int, is_implicit: bool) -> int:
        if tag == _PIXEL_DATA and depth == 0:
            return self._pixel_data(length, at, end)
        if length == _UNDEFINED:
            if vr not in (b"", b"SQ", b"UN"):
                raise self._fail(at, "a value of undefined length that is no sequence")
            # PS3.5 6.2.2: a sequence sent as UN is encoded in implicit VR.
            return self._items(at, end, depth=depth, is_implicit=is_implicit or vr == b"UN", open_ended=True)
        if at + length > end:
            raise self._fail(at, "a value that is longer than the data")
        if vr == b"SQ" or (vr == b"" and tag in _SEQUENCE_TAGS):
            return self._items(at, at + length, depth=depth, is_implicit=is_implicit, open_ended=False)
        return at + length

    def _items(self, at: int, end: int, *, depth: int, is_implicit: bool, open_ended: bool) -> int:
        while at < end:
            tag, _, length, value = self._header(at, end, True)
            if tag == _SEQUENCE_END and open_ended:
                return value
            if tag != _ITEM:
                raise self._fail(at, "something else where an item must start")
            if length == _UNDEFINED:
                at = self.elements_of(value, end, depth=depth + 1, is_implicit=is_implicit, open_ended=True)
                continue
            if value + length > end:
                raise self._fail(at, "an item that is longer than the data")
            at = self.elements_of(value, value + length, depth=depth + 1, is_implicit=is_implicit)
        if open_ended:
            raise self._fail(at, "the data end within a sequence")
        return at

    def _pixel_data(self, length: int, at: int, end: int) -> int:
        if length != _UNDEFINED:
            if at + length > end:
                raise self._fail(at, "pixel data that are longer than what was sent")
            self.pixels = PixelExtent(at, length)
            return at + length
        start, fragments = at, []
        while True:
            tag, _, fragment, value = self._header(at, end, True)
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM or value + fragment > end:
                raise self._fail(at, "a broken fragment of compressed pixel data")
            fragments.append((value, fragment))
            at = value + fragment
        self.pixels = PixelExtent(start, value - start, tuple(fragments[1:]), True)
        return value


def walk(data: Buffer, offset: int, *, is_implicit: bool, limits: Limits) -> PixelExtent | None:
    """Walks the dataset (little endian) from `offset` to the end of `data`; returns where its pixel data lie (offsets
    into `data`), if it has any. Raises BrokenStructure for anything that is not exactly a dataset."""
    if offset >= len(data):
        raise BrokenStructure("the dataset is empty")
    visitor = _Walk(data, is_implicit, limits)
    visitor.elements_of(offset, len(data), depth=0, is_implicit=is_implicit)
    return visitor.pixels
