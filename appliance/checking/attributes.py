"""Attributes of a dataset that may lack them or hold anything: a check says so, it does not fail on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydicom.dataset import Dataset


def text(dataset: Dataset | None, keyword: str) -> str:
    """Without padding; '' where absent."""
    value = None if dataset is None else dataset.get(keyword)
    return "" if value is None else str(value).strip()


def number(dataset: Dataset | None, keyword: str) -> float | None:
    """None where absent or not a finite number."""
    try:
        value = float(text(dataset, keyword))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def numbers(dataset: Dataset | None, keyword: str) -> tuple[float, ...]:
    """() where absent; values that are no numbers are NaN."""
    value = None if dataset is None else dataset.get(keyword)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    return tuple(_float(item) for item in values)


def _float(item: object) -> float:
    try:
        return float(str(item))
    except ValueError:
        return math.nan


def items(dataset: Dataset | None, keyword: str) -> Sequence[Dataset]:
    return () if dataset is None else (dataset.get(keyword) or ())


def references(dataset: Dataset | None, keyword: str) -> tuple[str, ...]:
    """SOP Instance UIDs that the items of a sequence refer to."""
    return tuple(text(item, "ReferencedSOPInstanceUID") for item in items(dataset, keyword))


def where(beam: Dataset) -> str:
    name = text(beam, "BeamName")
    return f"beam {text(beam, 'BeamNumber') or '?'}{f' ({name})' if name else ''}"


def is_treated(beam: Dataset) -> bool:
    return (text(beam, "TreatmentDeliveryType") or "TREATMENT") == "TREATMENT"


def treated(plan: Dataset) -> list[Dataset]:
    return [beam for beam in items(plan, "BeamSequence") if is_treated(beam)]
