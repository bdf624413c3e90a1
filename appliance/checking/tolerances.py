"""How far a second calculation may differ, and by whose word."""

from __future__ import annotations

GAMMA_TOLERANCE_PERCENT = 95.0
GAMMA_ACTION_PERCENT = 90.0
"""Universal tolerance and action limits of the gamma passing rate at 3 %/2 mm, global, 10 % threshold (AAPM TG-218:
Miften et al., Med Phys 45:e53, 2018, section 9). The report is about measured doses; that they are used for a second
calculation is our choice, because it names the only limits agreed on for this criterion."""

SECONDARY_DOSE_PERCENT = 5.0
"""Secondary dose calculation: agreement better than 5 % (AAPM MPPG 11.a, table 8)."""

REPORTED_POINT_SHARE = 0.5
"""The check point is the isocentre where it receives this share of the maximum dose, else the voxel of the maximum
(chosen, because a point in a gradient or behind a leaf compares positions, not output: AAPM TG-114 asks for a point in
a region of uniform dose)."""
