"""The TG-119 planning problem both planners are given, and the one objective both are judged by. NumPy only, because it
is imported in pyRadPlan's environment as well as in ours.

The objective as pyRadPlan 0.5.0 computes it (read in its source: optimization/problems/_nonlin_fluence.py,
optimization/objectives/_squared_dev.py and _squared_over.py, cst/_cst.py), so that it can be computed for any dose:

    f(D) = sum over objectives o of  p_o / N_o * sum over voxels v in M_o of phi_o(D_v)

    squared deviation  phi(D) = (D - d_ref)^2            squared overdose  phi(D) = max(D - d_max, 0)^2

- D_v is the total dose in Gy as it is: no division by the number of fractions.
- N_o is the number of voxels in M_o, all of them, also those that receive nothing.
- p_o is the penalty itself: penalties are not normalised to their sum, and there is no factor 1/2.
- M_o is the structure after overlaps are removed: a structure loses every voxel of a structure whose priority number is
  strictly lower (here OuterTarget 1, Core 2, BODY 3: BODY is what is left without target and core). Overlaps are
  removed on the CT grid first.
- On the dose grid M_o is that CT mask taken at the nearest voxel, 0 outside the CT.
- pyRadPlan's dose is 0 outside the union of all structures, because its matrix holds no other voxels.

Judged "on the full grid" means: the same formula with M_o the CT-grid masks and D the dose on the CT grid.

Frame: DICOM patient LPS, mm, arrays (z, y, x). Beamlets: centres (x, z) in the beam's eye view at the isocentre plane,
that is r = iso + R (x, 0, z) with R = [[c, -s, 0], [s, c, 0], [0, 0, 1]] of the gantry angle, source at
iso + R (0, -SAD, 0), couch 0. Weight 1 is unit fluence of the beamlet in pyRadPlan's machine file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = ("squared_deviation", "squared_overdose")


@dataclass(frozen=True)
class Term:
    """One objective: `mask` is boolean (z, y, x) after overlap removal, on the grid the dose is on."""

    structure: str
    kind: str
    dose_gy: float
    penalty: float
    mask: NDArray[np.bool_]


def objective_value(dose_gy: NDArray[Any], terms: tuple[Term, ...]) -> float:
    """f(D) above. dose_gy (z, y, x), the shape of every mask. ValueError for another shape, an empty
    mask (pyRadPlan would divide by zero) or an unknown kind."""
    return sum(term_values(dose_gy, terms).values())


def term_values(dose_gy: NDArray[Any], terms: tuple[Term, ...]) -> dict[str, float]:
    """Each objective's share of f(D), in the order given, keyed 'structure kind'."""
    values: dict[str, float] = {}
    for term in terms:
        if term.mask.shape != dose_gy.shape:
            raise ValueError(f"dose {dose_gy.shape} is not on the grid of {term.structure} {term.mask.shape}")
        if not term.mask.any():
            raise ValueError(f"{term.structure} has no voxel on this grid")
        if term.kind not in KINDS:
            raise ValueError(f"unknown objective '{term.kind}'")
        excess = dose_gy[term.mask].astype(np.float64) - term.dose_gy
        if term.kind == "squared_overdose":
            excess = np.maximum(excess, 0.0)
        values[f"{term.structure} {term.kind}"] = term.penalty * float(excess @ excess) / excess.size
    return values


@dataclass(frozen=True)
class Problem:
    """What a planner gets. hu: CT (z, y, x), HU. hlut (n, 2): HU and relative electron density, linear between rows;
    outside `body` the density is 0. beamlet_beam (m,), beamlet_xz_mm (m, 2): the beamlets in pyRadPlan's order."""

    hu: NDArray[np.int16]
    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    body: NDArray[np.bool_]
    terms_ct: tuple[Term, ...]
    hlut: NDArray[np.float64]
    gantry_deg: tuple[float, ...]
    isocentre_mm: tuple[float, float, float]
    sad_mm: float
    beamlet_mm: float
    beamlet_beam: NDArray[np.int32]
    beamlet_xz_mm: NDArray[np.float64]
    dose_grid_origin_mm: tuple[float, float, float]
    dose_grid_spacing_mm: tuple[float, float, float]
    terms_dose_grid: tuple[Term, ...]


@dataclass(frozen=True)
class PeerResult:
    """What pyRadPlan made of it. weights (m,); dose_ct_gy: its dose on the CT grid as it gives it to its user (linear
    interpolation from the dose grid); snapshots: weights (k, m) after evaluation `snapshot_evaluation` (k,) at
    `snapshot_cpu_s` (k,) CPU seconds of optimisation; trajectory (n, 2): CPU seconds, objective on its own grid."""

    weights: NDArray[np.float64]
    dose_ct_gy: NDArray[np.float32]
    dose_grid_gy: NDArray[np.float32]
    trajectory: NDArray[np.float64]
    snapshot_evaluation: NDArray[np.int32]
    snapshot_cpu_s: NDArray[np.float64]
    snapshots: NDArray[np.float32]
    measured: dict[str, Any]


def _three(values: Any) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


def load_problem(path: Path) -> Problem:
    """The problem alone out of what peer_pyradplan.py wrote. Raises OSError or KeyError for another file."""
    with np.load(path, allow_pickle=False) as z:
        return _problem(z)


def load(path: Path) -> tuple[Problem, PeerResult]:
    """Reads what peer_pyradplan.py wrote. Raises OSError or KeyError for another file."""
    with np.load(path, allow_pickle=False) as z:
        problem = _problem(z)
        result = PeerResult(
            weights=z["weights"],
            dose_ct_gy=z["dose_ct_gy"],
            dose_grid_gy=z["dose_grid_gy"],
            trajectory=z["trajectory"],
            snapshot_evaluation=z["snapshot_evaluation"],
            snapshot_cpu_s=z["snapshot_cpu_s"],
            snapshots=z["snapshots"],
            measured=json.loads(str(z["meta"]))["measured"],
        )
    return problem, result


def _problem(z: Any) -> Problem:
    meta = json.loads(str(z["meta"]))
    terms = {
        where: tuple(
            Term(o["structure"], o["kind"], o["dose_gy"], o["penalty"], z[f"mask_{where}_{o['structure']}"])
            for o in meta["objectives"]
        )
        for where in ("ct", "dose")
    }
    return Problem(
        hu=z["ct_hu"],
        origin_mm=_three(z["ct_origin_mm"]),
        spacing_mm=_three(z["ct_spacing_mm"]),
        body=z["drawn_BODY"],
        terms_ct=terms["ct"],
        hlut=z["hlut"],
        gantry_deg=tuple(float(g) for g in z["gantry_deg"]),
        isocentre_mm=_three(z["isocentre_mm"]),
        sad_mm=float(meta["sad_mm"]),
        beamlet_mm=float(meta["beamlet_mm"]),
        beamlet_beam=z["beamlet_beam"],
        beamlet_xz_mm=z["beamlet_xz_mm"],
        dose_grid_origin_mm=_three(z["dose_origin_mm"]),
        dose_grid_spacing_mm=_three(z["dose_spacing_mm"]),
        terms_dose_grid=terms["dose"],
    )


def peak_rss_mb() -> float:
    """Peak resident size of this process's own address space, MB (10^6 bytes). VmHWM, not getrusage: Linux carries
    ru_maxrss over exec, so a child would report its parent's peak."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmHWM")
