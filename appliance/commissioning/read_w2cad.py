"""Reads curves from W2CAD files, the ASCII scans that Varian's beam configuration takes and water tanks export.

The layout as water-tank software writes it (mm; one scan from $STOM to $ENOM; comments after '#'):

    $NUMS 040            scans in the file (not always there)
    $STOM
    %TYPE OPP            OPD depth dose, OPP profile, DPR diagonal; others (wedges, electrons) are not modelled
    %BMTY PHO            photons
    %FLSZ 100*100        field X * Y at the isocentre plane
    %AXIS X              X, Y, Z or D
    %SSD 1000            %DPTH 015: depth of a profile      %PNTS 755: how many points
    <-065.2 +000.0 +015.0 +000.5>       x, y, z (depth; some programs count it downwards negative), dose
    $ENOM
    $ENOF
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from appliance.commissioning.curves import Curve, Kind
from appliance.commissioning.making import Points, Setting, make_curve, refused

TYPES = {"OPD": Kind.DEPTH_DOSE, "OPP": Kind.PROFILE, "DPR": Kind.PROFILE}
DEPTH_TOLERANCE_MM = 1.0
"""%DPTH is written in whole millimetres, points in tenths."""
DIAGONAL_TOLERANCE_DEG = 5.0
_START = re.compile(r"^\s*\$\s*STOM\b", re.MULTILINE)
_POINT = re.compile(r"^<(.*)>$")
_FIELD = re.compile(r"^([\d.]+)\s*\*\s*([\d.]+)$")


@dataclass
class _Scan:
    line: int
    facts: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[int, tuple[float, float, float, float]]] = field(default_factory=list)


def is_w2cad(path: Path) -> bool:
    """Whether a file holds a scan of this format."""
    try:
        return bool(_START.search(path.read_bytes().decode("latin-1")))
    except OSError:
        return False


def read_w2cad(path: Path) -> tuple[Curve, ...]:
    """Raises RefusedMeasurements naming file, line and what to do."""
    scans = _scans(path.read_bytes().decode("latin-1").splitlines(), path.name)
    return tuple(_curve(scan, path.name) for scan in scans)


def _scans(lines: list[str], file: str) -> list[_Scan]:
    done: list[_Scan] = []
    scan: _Scan | None = None
    stated = 0
    for number, raw in enumerate(lines, 1):
        text = raw.strip()
        mark, rest = text[:1], text[1:].strip()
        key, _, value = rest.partition(" ")
        if mark == "$" and key == "NUMS":
            stated = int(value) if value.strip().isdigit() else 0
        elif mark == "$" and key == "STOM":
            if scan is not None:
                raise refused(file, number, f"the scan begun in line {scan.line} has no $ENOM", "Export the scan again")
            scan = _Scan(number)
        elif mark == "$" and key == "ENOM" and scan is not None:
            done.append(scan)
            scan = None
        elif mark == "%" and scan is not None:
            scan.facts[key.rstrip(":").upper()] = value.strip()
        elif mark == "<" and scan is not None:
            scan.rows.append((number, _point(text, file, number)))
    if scan is not None:
        raise refused(file, scan.line, "the scan begun here has no $ENOM", "The file was cut short; export it again")
    if stated and stated != len(done):
        raise refused(file, 1, f"$NUMS states {stated} scans, the file holds {len(done)}", "Export it again")
    return done


def _point(text: str, file: str, line: int) -> tuple[float, float, float, float]:
    inside = _POINT.match(text)
    cells = inside.group(1).split() if inside else []
    try:
        x, y, z, dose = (float(cell) for cell in cells)
    except ValueError:
        raise refused(file, line, "a point must be <x y z dose>", "Export the scan again") from None
    return x, y, z, dose


def _curve(scan: _Scan, file: str) -> Curve:
    kind = _kind(scan, file)
    if not scan.rows:
        raise refused(file, scan.line, "the scan holds no points", "Export it again, or take it out")
    stated = scan.facts.get("PNTS", "")
    if stated.isdigit() and int(stated) != len(scan.rows):
        raise refused(file, scan.line, f"%PNTS states {stated} points, there are {len(scan.rows)}", "Export it again")
    sides = _FIELD.match(scan.facts.get("FLSZ", ""))
    if sides is None:
        raise refused(file, scan.line, "%FLSZ must be 'X*Y' in mm", "Set the field size in the scan's header")
    xyz = np.array([row[:3] for _, row in scan.rows])
    if xyz[:, 2].mean() < 0:
        xyz[:, 2] = -xyz[:, 2]
    axis, positions, depth_mm = _course(scan, kind, xyz, file)
    points = Points()
    for (number, row), position in zip(scan.rows, positions, strict=True):
        points.add(float(position), row[3], number)
    try:
        side_x, side_y = float(sides.group(1)), float(sides.group(2))
        ssd_mm = float(scan.facts.get("SSD", ""))
    except ValueError:
        raise refused(
            file, scan.line, "%SSD and %FLSZ must be numbers in mm", "Set them in the scan's header"
        ) from None
    setting = Setting(kind, side_x, side_y, ssd_mm, depth_mm, axis)
    return make_curve(setting, points, file=file, line=scan.line)


def _kind(scan: _Scan, file: str) -> Kind:
    radiation, name = scan.facts.get("BMTY", "PHO").upper(), scan.facts.get("TYPE", "").upper()
    if not radiation.startswith("PHO"):
        raise refused(file, scan.line, f"%BMTY {radiation} is no photon beam", "Only photon beams are commissioned")
    if name not in TYPES:
        remedy = "Open fields only: OPD, OPP and DPR. Take wedge and other scans out"
        raise refused(file, scan.line, f"%TYPE '{name}' is not modelled", remedy)
    return TYPES[name]


def _course(scan: _Scan, kind: Kind, xyz: np.ndarray, file: str) -> tuple[str, np.ndarray, float]:
    """(axis, position of each point, depth) of a scan."""
    if kind is Kind.DEPTH_DOSE:
        if np.abs(xyz[:, :2]).max() > DEPTH_TOLERANCE_MM:
            raise refused(file, scan.line, "a depth dose (OPD) leaves the axis", "Scan it along the axis")
        return "Z", xyz[:, 2], 0.0
    depths = xyz[:, 2]
    if np.ptp(depths) > DEPTH_TOLERANCE_MM:
        raise refused(file, scan.line, "a profile changes its depth on the way", "Only profiles at one depth are used")
    depth_mm, stated = float(depths.mean()), scan.facts.get("DPTH", "")
    try:
        header_mm = float(stated) if stated else depth_mm
    except ValueError:
        raise refused(file, scan.line, f"%DPTH '{stated}' is not a number", "Set it in the scan's header") from None
    if abs(header_mm - depth_mm) > DEPTH_TOLERANCE_MM:
        reason = f"%DPTH states {header_mm:g} mm, its points lie at {depth_mm:g} mm"
        raise refused(file, scan.line, reason, "Correct the header")
    span_x, span_y = np.ptp(xyz[:, 0]), np.ptp(xyz[:, 1])
    angle = float(np.degrees(np.arctan2(span_y, span_x)))
    if angle < DIAGONAL_TOLERANCE_DEG:
        return "X", xyz[:, 0], depth_mm
    if angle > 90 - DIAGONAL_TOLERANCE_DEG:
        return "Y", xyz[:, 1], depth_mm
    if abs(angle - 45) < DIAGONAL_TOLERANCE_DEG:
        return "D", np.sign(xyz[:, 0]) * np.hypot(xyz[:, 0], xyz[:, 1]), depth_mm
    raise refused(file, scan.line, f"a profile at {angle:.0f}° to the X axis", "Use scans along X, Y or the diagonal")
