from engines.sequencing.greedy import Sequence, longest_gain, sequence_fluence
from engines.sequencing.monitor_units import monitor_units, monitor_units_of
from engines.sequencing.sliding_window import positions, sweep

__all__ = ["Sequence", "longest_gain", "monitor_units", "monitor_units_of", "positions", "sequence_fluence", "sweep"]
