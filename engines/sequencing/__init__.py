from engines.sequencing.greedy import Sequence, longest_gain, sequence_fluence
from engines.sequencing.monitor_units import monitor_units

__all__ = ["Sequence", "longest_gain", "monitor_units", "sequence_fluence"]
