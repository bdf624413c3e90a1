"""Draws docs/figures/superposition.svg: axis doses of both algorithms and the stored Monte Carlo, in water and through
a lung slab. Needs ../shared/references, and matplotlib (not a dependency of Couchside).

    python tools/superposition_figure.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engines.grid import Grid  # noqa: E402
from engines.photon.beam_model import load_beam_model  # noqa: E402
from engines.photon.calibrate import axis_dose  # noqa: E402
from engines.photon.dose import Medium  # noqa: E402
from engines.photon.superposition.dose import SuperpositionDose  # noqa: E402
from tests.engines.photon.superposition.cases import point_source, square  # noqa: E402

OUT = ROOT / "docs" / "figures" / "superposition.svg"
REFERENCES = ROOT.parent / "shared" / "references"
SLAB_MM, SLAB_DENSITY = (50.0, 130.0), 0.25


def main() -> int:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "couchside"})
    import matplotlib.pyplot as plt

    grid = Grid((-120.0, -98.75, -120.0), (3.0, 2.5, 3.0), (81, 120, 81))
    depth = grid.axes_mm()[1] + 100.0
    densities = {"water_10x10": np.ones(grid.shape, np.float32)}
    densities["lungslab_10x10"] = densities["water_10x10"].copy()
    densities["lungslab_10x10"][:, (depth > SLAB_MM[0]) & (depth < SLAB_MM[1])] = SLAB_DENSITY
    pencil_model = load_beam_model(ROOT / "models" / "beam" / "generic_6mv.json")
    fig, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    inside = (depth > 20) & (depth < 250)
    scale: dict[str, float] = {}
    for panel, (name, density) in zip(panels, densities.items(), strict=True):
        cones = SuperpositionDose(point_source(), Medium(grid, density)).calculate([square(50.0)])[40, :, 40]
        column = density[40, :, 40]
        water_mm = np.cumsum(column * 2.5) - column * 1.25
        deep = axis_dose(pencil_model, field_mm=100.0, ssd_mm=900.0, depth_mm=water_mm)
        pencil = deep * ((900 + water_mm) / (900 + depth)) ** 2
        with np.load(REFERENCES / f"e_pyradmc_{name}.npz") as stored:
            mc_depth, mc, error = stored["depth_mm"], stored["pdd"], stored["pdd_sigma"]
        for key, values in (("cones", cones), ("pencil", pencil), ("mc", np.interp(depth, mc_depth, mc))):
            scale.setdefault(key, 100.0 / (1.6 * values[inside].mean()))
        panel.errorbar(mc_depth, mc * scale["mc"], error * scale["mc"], fmt=".", ms=3, c="0.6", label="Monte Carlo")
        panel.plot(depth, cones * scale["cones"], c="C0", label="collapsed cone")
        panel.plot(depth, pencil * scale["pencil"], c="C3", ls="--", label="pencil beam")
        panel.set(title=name.replace("_10x10", ", 10 x 10 cm"), xlabel="depth (mm)")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("dose (one scale for both panels)")
    panels[1].axvspan(*SLAB_MM, color="0.92", zorder=0)
    panels[0].legend()
    fig.tight_layout()
    OUT.parent.mkdir(exist_ok=True)
    if len(sys.argv) > 1:
        fig.savefig(sys.argv[1])
    fig.savefig(OUT, metadata={"Date": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
