"""Values as DICOM wants them: UIDs, decimal strings, dates, short text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydicom.uid import generate_uid
from pydicom.valuerep import DSfloat, format_number_as_ds

SHORT_STRING = 16
"""Longest SH value (PS3.5 table 6.2-1)."""
LONG_STRING = 64
"""Longest LO value (PS3.5 table 6.2-1)."""
SHORT_TEXT = 1024
"""Longest ST value (PS3.5 table 6.2-1)."""


def new_uid() -> str:
    """A fresh UID under 2.25, made of a random UUID (PS3.5 annex B.2): needs no registered root."""
    return str(generate_uid(prefix=None))


def ds(value: float, decimals: int | None = None) -> DSfloat:
    """Decimal string of at most 16 characters (PS3.5 table 6.2-1), first rounded to `decimals` if given.

    Without `decimals` the value is as near as 16 characters allow: to 1e-9 of it or better from 1e-9 to 1e9.
    -0.0 becomes 0. Raises ValueError for a value that is not finite."""
    number = float(value) if decimals is None else round(float(value), decimals)
    return DSfloat(format_number_as_ds(number + 0.0))


def ds_list(values: Iterable[float], decimals: int | None = None) -> list[DSfloat]:
    return [ds(value, decimals) for value in values]


def date_time(moment: datetime) -> tuple[str, str]:
    """(DA, TM) in the machine's local time, as DICOM means times without a time zone offset."""
    local = moment.astimezone()
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S")


def clipped(text: str, length: int) -> str:
    """`text` without backslashes (the DICOM value separator) and no longer than `length`."""
    return text.replace("\\", "/")[:length].strip()
