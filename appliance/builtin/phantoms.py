"""Solids of the four AAPM TG-119 test cases (Ezzell et al., Med Phys 36:5359, 2009), in mm, patient LPS.

Only the C-shape's sizes are measured: from the structure data of the TG-119 phantom that circulates with open planning
software, where the core measures 29.7 cc and the target 167.8 cc in a slab of 303 x 150 x 300 mm. The report's own
drawings of the other three could not be read, so their sizes are **approximate**; each function says which of them
are described and which chosen.

All phantoms are water-equivalent, as the report asks for its plastic slabs. Planes of equal z that end a solid lie
half-way between slices of 2.5 mm, so that its drawn length is its length; the C-shape has 3 mm slices with one at 0.
"""

from __future__ import annotations

from appliance.builtin.shapes import Point, Solid, box, cylinder, ellipsoid, elliptic_rod, rod, slab_between

SLAB_MM = (303.0, 150.0, 300.0)
"""RL, AP and SI size of the slab phantom; measured, see the top."""

MULTI_SLAB_LENGTH_MM = 240.0
"""SI length of the other phantoms. Chosen, because it leaves at least 6 cm beyond every target, more than scattered
photons of 6 MV need to build up, and saves a fifth of the slices."""


def slab(length_mm: float) -> Solid:
    half = (SLAB_MM[0] / 2, SLAB_MM[1] / 2, length_mm / 2)
    return box((-half[0], -half[1], -half[2]), half)


def c_shape() -> dict[str, Solid]:
    """Core: cylinder of radius 10 mm, 100 mm long. Target: ring from 15 to 37 mm around it, 80 mm long, cut by the
    plane 7.5 mm behind the core's axis, so that it is open posteriorly."""
    ring = cylinder(37.0, -40.0, 40.0).minus(rod(15.0))
    return {
        "External": slab(SLAB_MM[2]),
        "PTV": ring & slab_between(1, -37.0, 7.5),
        "Core": cylinder(10.0, -50.0, 50.0),
    }


def prostate() -> dict[str, Solid]:
    """Approximate. Described: prostate an ellipsoid of 4.0 x 2.6 x 6.5 cm (RL, AP, SI) with a posterior dent; PTV 6 mm
    around it; rectum a cylinder of 1.5 cm diameter in the dent, about a third of it in the PTV on the widest slice;
    bladder an ellipsoid of 5 x 4 x 5 cm on the superior side. Chosen: dent of radius 40 mm and 3 mm deep, rectum
    10 cm long and 0.5 mm behind the prostate, bladder 5 cm above and 1.5 cm in front of the prostate's centre."""
    gland = ellipsoid((20.0, 13.0, 32.5)).minus(rod(40.0, centre_xy_mm=(0.0, 50.0)))
    return {
        "External": slab(MULTI_SLAB_LENGTH_MM),
        "PTV": gland.grown(6.0),
        "Rectum": cylinder(7.5, -50.0, 50.0, centre_xy_mm=(0.0, 18.0)),
        "Bladder": ellipsoid((25.0, 20.0, 25.0), centre_mm=(0.0, -15.0, 50.0)),
    }


CORD_XY_MM = (0.0, 18.0)
CORD_RADIUS_MM = 7.5
SKIN_GAP_MM = 6.0
CORD_GAP_MM = 15.0
NODE_OPENING_MM = 20.0


def head_neck() -> dict[str, Solid]:
    """Approximate. Described: PTV from the base of the skull to the upper neck with the posterior nodes, 6 mm under
    the skin, about 1.5 cm from the cord; parotids at the superior edge of the PTV. Chosen: a neck-like phantom with
    elliptic section of 132 x 150 mm instead of the slab, because the skin has to be near the target all around; PTV
    10 cm long, a horseshoe around the cord from 22 mm before to 48 mm behind the axis, open 4 cm wide behind; cord of
    15 mm; parotids of 22 x 32 x 44 mm with their lowest 8 mm beside the PTV's top."""
    body = elliptic_rod((66.0, 75.0))
    cord_x, cord_y = CORD_XY_MM
    opening = box((-NODE_OPENING_MM, cord_y, -150.0), (NODE_OPENING_MM, 100.0, 150.0))
    near_skin = body.grown(-SKIN_GAP_MM) & slab_between(2, -60.0, 40.0)
    target = (near_skin & slab_between(1, -22.0, 48.0)).minus(
        rod(CORD_RADIUS_MM + CORD_GAP_MM, centre_xy_mm=(cord_x, cord_y))
    )
    length = MULTI_SLAB_LENGTH_MM / 2
    return {
        "External": body & slab_between(2, -length, length),
        "PTV": target.minus(opening),
        "SpinalCord": cylinder(CORD_RADIUS_MM, -110.0, 80.0, centre_xy_mm=CORD_XY_MM),
        "Parotid_L": _parotid((46.0, 0.0, 54.0)),
        "Parotid_R": _parotid((-46.0, 0.0, 54.0)),
    }


def _parotid(centre_mm: Point) -> Solid:
    return ellipsoid((11.0, 16.0, 22.0), centre_mm=centre_mm)


def multi_target() -> dict[str, Solid]:
    """Approximate. Described: three cylinders stacked along the axis of gantry rotation. Sizes from memory of the
    report: each 4 cm in diameter and 4 cm long."""
    return {
        "External": slab(MULTI_SLAB_LENGTH_MM),
        "PTV_Central": cylinder(20.0, -20.0, 20.0),
        "PTV_Superior": cylinder(20.0, 20.0, 60.0),
        "PTV_Inferior": cylinder(20.0, -60.0, -20.0),
    }
