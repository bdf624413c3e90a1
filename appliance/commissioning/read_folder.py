"""A whole folder of measurements: its description and every curve in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.commissioning.curves import Curve, Kind, of_kind
from appliance.commissioning.description import FILE, BeamDescription, read_description
from appliance.commissioning.read_csv import read_csv
from appliance.commissioning.read_w2cad import is_w2cad, read_w2cad
from appliance.errors import RefusedMeasurements


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of one beam. left_alone: names of files that hold no measurement."""

    beam: BeamDescription
    curves: tuple[Curve, ...]
    left_alone: tuple[str, ...] = ()


def read_measurements(folder: Path) -> Measurements:
    """Reads beam.toml, every .csv and every file that holds W2CAD scans; sub-folders are not read.

    Raises RefusedMeasurements for a file that is malformed, a curve that comes in two files, a source that is not
    stated, and data without a depth dose of the reference field, from which no beam can be modelled."""
    if not folder.is_dir():
        raise RefusedMeasurements("it is not a folder", what=str(folder), remedy="Give the folder of the measurements")
    beam = read_description(folder)
    curves: list[Curve] = []
    left_alone = []
    for path in sorted(item for item in folder.iterdir() if item.is_file() and item.name not in (FILE, beam.spectrum)):
        if path.suffix.lower() == ".csv":
            read = read_csv(path)
        elif is_w2cad(path):
            read = read_w2cad(path)
        else:
            left_alone.append(path.name)
            continue
        if path.name not in beam.sources:
            remedy = f'Add to [sources] of {FILE}: "{path.name}" = "who measured it, when, with what"'
            raise RefusedMeasurements("its origin is not stated", what=path.name, remedy=remedy)
        curves.extend(read)
    _check_no_repetition(curves)
    _check_enough(curves, beam)
    return Measurements(beam, tuple(curves), tuple(left_alone))


def _check_no_repetition(curves: list[Curve]) -> None:
    seen: dict[tuple[object, ...], Curve] = {}
    for curve in curves:
        key = (
            curve.kind, curve.field_x_mm, curve.field_y_mm, curve.ssd_mm, curve.depth_mm, curve.axis, curve.shaped_by,
            curve.slab,
        )  # fmt: skip
        if key in seen:
            raise RefusedMeasurements(
                f"it repeats that of {seen[key].source}",
                what=f"{curve.title} ({curve.source})",
                remedy="Leave the curve that you trust",
            )
        seen[key] = curve


def _check_enough(curves: list[Curve], beam: BeamDescription) -> None:
    field, depth = beam.reference.field_mm, beam.reference.depth_mm
    depth_curves = of_kind(curves, Kind.DEPTH_DOSE, Kind.TISSUE_PHANTOM_RATIO)
    if not any(c.is_of_field(field, field) and c.positions_mm[-1] >= max(200.0, depth) for c in depth_curves):
        raise RefusedMeasurements(
            f"there is no depth dose of the reference field ({field:g} × {field:g} mm) to a depth of 200 mm",
            what="The folder",
            remedy="Add that curve: without it no beam can be modelled",
        )
