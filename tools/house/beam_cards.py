"""The cards of the shipped beams say of fit and verdict what the model files say."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tools.house.generated import Generated
from tools.house.report import Report

BEAMS = ("couchside_6mv", "couchside_6mv_fff")
MODELS = Path(__file__).resolve().parents[2] / "models" / "beam"


def section(beam: str) -> str:
    """What was fitted and how it was judged, of one model file."""
    raw = json.loads((MODELS / f"{beam}.json").read_text("utf-8"))
    fitted = "".join(f"| {name} | {value} |\n" for name, value in _fitted(raw).items())
    rows = [
        f"| {algorithm} | {test} | {outcome} |\n"
        for algorithm, table in raw["provenance"]["mppg_5b"].items()
        for test, outcome in table.items()
    ]
    return (
        f"## What was fitted\n\n| parameter | value |\n|---|---|\n{fitted}\n"
        "## AAPM MPPG 5.b\n\n"
        "The worst deviation of each test that the data answer; tests that are not here are not tested (MLC-shaped\n"
        "fields, oblique incidence, lung, end to end). The same curves were fitted and judged.\n\n"
        f"| algorithm | test | worst |\n|---|---|---|\n{''.join(rows)}"
    )


def _fitted(raw: dict[str, Any]) -> dict[str, str]:
    axis, cone = raw["provenance"]["fitted"], raw["superposition"]
    spectrum, head, electrons = cone["spectrum"], cone["extra_focal"], cone["contamination"]
    photons = spectrum["fluence"]
    mean = sum(e * n for e, n in zip(spectrum["energy_mev"], photons, strict=True)) / sum(photons)
    betas = ", ".join(f"{b:.4g}" for b in raw["betas_per_mm"])
    return {
        "spectrum": f"mean energy {mean:.2f} MeV (tilt {axis['tilt']:+.3f}, hardening {axis['hardening']:+.3f})",
        "extra-focal source": f"{100 * head['weight']:.1f} % of a wide field's fluence, sigma "
        f"{head['sigma_mm']:.1f} mm at {head['distance_mm']:g} mm from the target (position chosen)",
        "contaminant electrons": f"{electrons['weight']:.3f} of the primary dose at the surface, "
        f"{electrons['attenuation_per_mm']:.3f} /mm, sigma {electrons['sigma_mm']:.0f} mm",
        "primary source": f"{cone['source_fwhm_mm']:.2f} mm FWHM on the isocentre plane, the chamber taken out",
        "softening per degree": ", ".join(f"{c:.3g}" for c in cone["softening_per_deg"]),
        "pencil beam": f"attenuation {raw['attenuation_per_mm']:.4g} /mm, build-up {betas} /mm; "
        f"off the axis depths count 1 {raw['softening'][0]:+.3g} t² {raw['softening'][1]:+.3g} t⁴ times",
    }


_SECTIONS = tuple(
    Generated(
        f"models/beam/CARD_{beam}.md",
        begin="<!-- fit: made by tools/check_house.py --write -->\n",
        end="<!-- end of fit -->",
        made=partial(section, beam),
        stale="its figures are not the model file's",
    )
    for beam in BEAMS
)


def write(root: Path) -> None:
    for one in _SECTIONS:
        one.write(root)


def check(root: Path, report: Report) -> None:
    for one in _SECTIONS:
        one.check(root, report)
