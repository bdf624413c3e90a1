from engines.optimise.bounded import Outcome, minimise

__all__ = ["Outcome", "minimise"]
