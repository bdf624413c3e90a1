"""Runs in bench/.venv-dicompyler: every structure's DVH by dicompyler-core, from RS.dcm and RD.dcm, as JSON.

    .venv-dicompyler/bin/python peer_dicompyler.py RS.dcm RD.dcm OUT.json

Without its interpolation to finer pixels: that is slower, and moves the dose against the contours by a part of a pixel
(means of organs in a steep dose were off by up to 0.5 Gy with it, in opposite directions on opposite sides).
Seconds are process time of the calculation alone: both files are parsed and the dose is decoded before.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from dicompylercore import dicomparser, dvh, dvhcalc

LEVELS_GY = 2.0
"""Volumes are written at every so many Gy."""


def histogram(structure: dict, dose: dicomparser.DicomParser) -> dvh.DVH:
    """What `dvhcalc.get_dvh` does after it has parsed both files."""
    found = dvhcalc._calculate_dvh(structure, dose)
    bins = np.arange(0, found.histogram.size + 1) / 100
    made = dvh.DVH(found.histogram, bins, dvh_type="differential", dose_units="Gy", name=structure["name"])
    return made.cumulative


def dose_at(edges_gy: np.ndarray, share: np.ndarray, percent: float) -> float:
    """From the peer's curve: its own `dose_constraint` takes the nearest bin, which jumps where the curve is flat."""
    return float(np.interp(-percent, -share, edges_gy))


def main() -> None:
    structures_file, dose_file, out = sys.argv[1:4]
    parsed, dose = dicomparser.DicomParser(structures_file), dicomparser.DicomParser(dose_file)
    dose.ds.pixel_array  # noqa: B018 - decodes once, outside the timing
    structures = parsed.GetStructures()
    for number, structure in structures.items():
        structure["planes"] = parsed.GetStructureCoordinates(number)
        structure["thickness"] = parsed.CalculatePlaneThickness(structure["planes"])
    began = time.process_time()
    curves = [histogram(structure, dose) for structure in structures.values()]
    seconds = time.process_time() - began
    found = {}
    for curve in curves:
        share = 100 * np.append(curve.counts, 0.0) / curve.counts[0]
        levels = np.arange(0.0, curve.bins[-1], LEVELS_GY)
        found[curve.name] = {
            "volume_cc": float(curve.volume),
            "mean_gy": float(curve.mean),
            "dose_at_percent": {str(x): dose_at(curve.bins, share, x) for x in (2, 5, 50, 95, 98)},
            "level_gy": levels.round(3).tolist(),
            "volume_percent": np.interp(levels, curve.bins, share).round(4).tolist(),
        }
    with open(out, "w", encoding="utf-8") as file:
        names = ("dicompyler-core", "pydicom", "numpy")
        made_by = {name: version(name) for name in names}
        json.dump({"made_by": made_by, "cpu_s": seconds, "structures": found}, file, indent=1)
        file.write("\n")


main()
