"""What a limit rests on: a passage in our own words with its source, and what a question finds."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.contracts.goals import Comparator, Metric


@dataclass(frozen=True)
class PassageLimit:
    """A number that the passage speaks of. unit: 'Gy', '%' or 'cc'. fractions: the course it holds for, 0 where it
    holds at conventional fractions or is not bound to a number of them."""

    metric: str
    comparator: str
    limit: float
    unit: str
    fractions: int = 0

    def __str__(self) -> str:
        course = f" in {self.fractions} fraction{'s' if self.fractions > 1 else ''}" if self.fractions else ""
        return f"{self.metric} {self.comparator} {self.limit:g} {self.unit}{course}"


@dataclass(frozen=True)
class Passage:
    """`id` is stable ('quantec.parotid.mean'); a goal may name it. structures: TG-263 names. source: the paper, `where`
    in it; one of doi and url is given. approximate: its numbers were not confirmed in the source itself."""

    id: str
    title: str
    text: str
    structures: tuple[str, ...]
    sites: tuple[str, ...]
    endpoint: str
    limits: tuple[PassageLimit, ...]
    source: str
    where: str
    doi: str = ""
    url: str = ""
    approximate: bool = False

    @property
    def address(self) -> str:
        return self.url or f"https://doi.org/{self.doi}"

    @property
    def citation(self) -> str:
        return f"{self.source}; {self.where}"


@dataclass(frozen=True)
class PassageMatch:
    """One passage found. by_goal: it speaks of the goal's own structure and metric. similarity: cosine of the meanings
    of question and passage, -1 to 1, None without the sentence encoder. word_rank, meaning_rank: its place in either
    order, 0 if not in it. score: reciprocal ranks, summed."""

    passage: Passage
    score: float
    similarity: float | None = None
    word_rank: int = 0
    meaning_rank: int = 0
    by_goal: bool = False


@dataclass(frozen=True)
class PassageAnswer:
    """What a question found, best first. answered: false where nothing is near enough to be called an answer; the
    matches are then only the nearest. notes: what a reader must know, such as a search by words alone."""

    question: str
    answered: bool
    matches: tuple[PassageMatch, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoalAsked:
    """A goal as asked for: structure (TG-263), and where given its metric, limit (unit as the metric's), the fractions
    of the course, and the passage it names itself."""

    structure: str
    metric: Metric | None = None
    comparator: Comparator | None = None
    limit: float | None = None
    fractions: int = 0
    passage: str = ""
