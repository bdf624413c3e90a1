"""Reads curves from CSV files; docs/commissioning.md has the layout."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from appliance.commissioning.curves import SINGLE_POINT, Curve, Kind, Slab
from appliance.commissioning.making import Points, Setting, make_curve, refused

COLUMNS = (
    "kind", "field_x_mm", "field_y_mm", "shaped_by", "ssd_mm", "depth_mm", "axis", "position_mm", "value",
    "slab_from_mm", "slab_to_mm", "slab_density",
)  # fmt: skip
NEEDED = ("kind", "field_x_mm", "field_y_mm", "value")
SEE = "docs/commissioning.md has the layout"


def read_csv(path: Path) -> tuple[Curve, ...]:
    """Raises RefusedMeasurements naming file, line and what to do."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(path.name, 0, "it is not UTF-8 text", "Save it again as CSV UTF-8") from error
    except OSError as error:
        raise refused(path.name, 0, f"it cannot be read ({error.strerror})", "Check who may read it") from error
    found: dict[Setting, Points] = {}
    for line, row in _rows(text, path.name):
        setting = _setting(row, path.name, line)
        is_single = setting.kind in SINGLE_POINT
        position = setting.depth_mm if is_single else _number(row, "position_mm", path.name, line)
        found.setdefault(setting, Points()).add(position, _number(row, "value", path.name, line), line)
    if not found:
        raise refused(path.name, 0, "it holds no curve", f"{SEE}; move the file elsewhere if it is no measurement")
    return tuple(make_curve(s, p, file=path.name, line=p.lines[0]) for s, p in found.items())


def _rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, cells by column) of each row of points."""
    header: list[str] = []
    reader = csv.reader(text.splitlines())
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise refused(file, reader.line_num, f"it is not CSV ({error})", SEE) from error
        line = reader.line_num
        if not any(cells) or cells[0].startswith("#"):
            continue
        if not header:
            header = cells
            _check_header(header, file, line)
        elif len(cells) != len(header):
            raise refused(file, line, f"it has {len(cells)} cells, the header {len(header)}", SEE)
        else:
            yield line, dict(zip(header, cells, strict=True))


def _check_header(header: list[str], file: str, line: int) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise refused(file, line, f"there is no column '{unknown[0]}'", SEE)
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise refused(file, line, f"the column '{missing[0]}' is missing", SEE)
    if len(set(header)) != len(header):
        raise refused(file, line, "a column comes twice", SEE)


def _number(row: dict[str, str], column: str, file: str, line: int) -> float:
    cell = row.get(column, "")
    try:
        return float(cell)
    except ValueError:
        reason = f"{column} is empty" if not cell else f"{column} '{cell}' is not a number"
        raise refused(file, line, reason, "Write a number with a point as decimal mark") from None


def _setting(row: dict[str, str], file: str, line: int) -> Setting:
    try:
        kind = Kind(row["kind"])
    except ValueError:
        known = ", ".join(Kind)
        raise refused(file, line, f"there is no kind '{row['kind']}'", f"Kinds are {known}") from None
    has_ssd = kind not in (Kind.TISSUE_PHANTOM_RATIO, Kind.COLLIMATOR_FACTOR)
    has_depth = kind not in (Kind.DEPTH_DOSE, Kind.COLLIMATOR_FACTOR)
    slab = None
    if kind is Kind.DENSITY_CORRECTION:
        slab = Slab(*(_number(row, name, file, line) for name in ("slab_from_mm", "slab_to_mm", "slab_density")))
    return Setting(
        kind=kind,
        field_x_mm=_number(row, "field_x_mm", file, line),
        field_y_mm=_number(row, "field_y_mm", file, line),
        ssd_mm=_number(row, "ssd_mm", file, line) if has_ssd else 0.0,
        depth_mm=_number(row, "depth_mm", file, line) if has_depth else 0.0,
        axis=row.get("axis", "") if kind is Kind.PROFILE else "Z",
        shaped_by=row.get("shaped_by", "") or "jaws",
        slab=slab,
    )
