from engines.sequencing.greedy import Sequence, sequence_fluence

__all__ = ["Sequence", "sequence_fluence"]
