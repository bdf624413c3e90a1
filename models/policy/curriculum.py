"""From easy to hard: which tasks a round plays.

How hard a task is, is what its template leaves to be gained: a hundred less the score of the first look, which every
episode begins with. While the rules are cloned the tasks come in turn, so that each is looked at; later the easiest
share of those seen is drawn from, and the share grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.policy.config import CurriculumConfig
from models.policy.tasks import Task

TASKS = 7
"""Names the random stream that tasks are drawn from, beside those of the episodes."""


def share_open(plan: CurriculumConfig, improving: int) -> float:
    """Share of the known tasks, the easiest first, that a round may draw from after so many improving updates."""
    if improving >= plan.full_after:
        return 1.0
    return plan.start + (1 - plan.start) * improving / plan.full_after


def in_turn(tasks: Sequence[Task], begun: int, count: int) -> list[Task]:
    return [tasks[(begun + place) % len(tasks)] for place in range(count)]


def drawn(
    tasks: Sequence[Task], looks: Mapping[int, float], share: float, count: int, *, seed: tuple[int, ...]
) -> list[Task]:
    """Of the easiest `share` of the tasks whose first look (score in percent, by task number) is known; each at most
    once as long as there are enough. Without any known: of all."""
    known = sorted(
        (task for task in tasks if task.number in looks), key=lambda task: (-looks[task.number], task.number)
    )
    pool = known[: max(1, round(share * len(known)))] or list(tasks)
    random = np.random.default_rng([*seed, TASKS])
    return [pool[place] for place in random.choice(len(pool), count, replace=count > len(pool))]
