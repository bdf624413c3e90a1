from engines.sequencing.greedy import Sequence, longest_gain, sequence_fluence

__all__ = ["Sequence", "longest_gain", "sequence_fluence"]
