"""What is wrong with an anatomy that no features can be made of."""

from __future__ import annotations

from engines.errors import EngineError


class AnatomyError(EngineError):
    """`rule` is a stable key for the stage that turns this into a sentence for a clinician: `possible.empty`,
    `target.none`, `target.empty`, `target.outside`, `target.prescription`, `ct.not-finite`, `spacing`, `shape`,
    `layout`."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(sentence)
        self.rule = rule
