"""Why a dose is where it is: what coverage forces on an organ, and how steeply dose falls. Arrays in, arrays out."""

from engines.explain.fall_off import FallOff, fall_off
from engines.explain.forced import Demand, forced, least_metric, overlap_cc

__all__ = ["Demand", "FallOff", "fall_off", "forced", "least_metric", "overlap_cc"]
