"""Curves and folders that several tests of commissioning write by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from appliance.commissioning.curves import Curve, Kind

BEAM = """format = "couchside-measurements-1"
name = "by_hand"
energy_mv = 6.0
fluence_mode = "STANDARD"
sad_mm = 1000.0
[reference]
ssd_mm = 1000.0
depth_mm = 15.0
field_mm = 100.0
gy_per_mu = 0.01
[sources]
"curves.csv" = "made by hand for a test"
"scans.asc" = "made by hand for a test"
"""


def depth_dose(field_mm: float = 100.0, *, ssd_mm: float = 1000.0, factor: float = 1.0) -> Curve:
    """An exponential behind a maximum at 15 mm."""
    at = np.array([0.0, 5, 10, 15, 20, 50, 100, 150, 200, 250, 300])
    values = np.where(at < 15, 50 + at * 50 / 15, 100 * np.exp(-0.0045 * (at - 15)))
    return Curve(Kind.DEPTH_DOSE, field_mm, field_mm, ssd_mm, 0.0, "Z", at, factor * values)


def profile(field_mm: float = 100.0, *, shift_mm: float = 0.0, depth_mm: float = 100.0) -> Curve:
    """Straight edges of 10 mm from 100 to 0 at the geometric border."""
    half = 0.5 * field_mm * (1000.0 + depth_mm) / 1000.0
    at = np.arange(-10 * half - 400, 10 * half + 401) / 10.0
    values = np.clip(0.5 + (half + shift_mm - np.abs(at)) / 10.0, 0.0, 1.0)
    return Curve(Kind.PROFILE, field_mm, field_mm, 1000.0, depth_mm, "X", at, 100.0 * values)


def write_folder(folder: Path, rows: str = "") -> Path:
    """A folder with a depth dose of the reference field, and more rows."""
    (folder / "beam.toml").write_text(BEAM, "utf-8")
    curve = depth_dose()
    lines = ["kind,field_x_mm,field_y_mm,ssd_mm,depth_mm,axis,position_mm,value"]
    lines += [f"depth_dose,100,100,1000,,,{p:g},{v:.6f}" for p, v in zip(curve.positions_mm, curve.values, strict=True)]
    (folder / "curves.csv").write_text("\n".join([*lines, rows]) + "\n", "utf-8")
    return folder


def w2cad(points: list[tuple[float, float, float, float]], *, kind: str = "OPP", extra: str = "%DPTH 100") -> str:
    rows = [f"<{x:+06.1f} {y:+06.1f} {z:+06.1f} {d:+06.1f}>" for x, y, z, d in points]
    head = f"%VERSION 02\n%BMTY PHO\n%FLSZ 100*100\n%TYPE {kind}\n%AXIS X\n%PNTS {len(points)}\n%SSD 1000\n{extra}"
    return "$NUMS 001\n$STOM\n# Comment:\n" + head + "\n" + "\n".join(rows) + "\n$ENOM\n$ENOF\n"
