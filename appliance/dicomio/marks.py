"""Doses of ours that are not the dose of one plan: marked where viewers look, and known again when they come back."""

from __future__ import annotations

from collections.abc import Callable

MARKED = ("DoseComment", "SeriesDescription")


def is_marked(text_of: Callable[[str], str], *, start: str, model_name: str) -> bool:
    """Whether an RT Dose has a description that begins with `start`, in small letters, or that Manufacturer's Model
    Name. text_of: an attribute's text by keyword, '' if it has none.

    One mark is enough: archives rewrite descriptions, and one that is left must still be believed."""
    described = any(text_of(keyword).strip().casefold().startswith(start) for keyword in MARKED)
    return described or text_of("ManufacturerModelName").strip() == model_name
