"""The library: search by words and by meaning, fused by reciprocal rank, and a plain statement where nothing
answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.contracts.goals import ClinicalGoal
from appliance.contracts.passage import GoalAsked, Passage, PassageAnswer, PassageMatch
from appliance.evaluation.retrieval.goals import answers_goal, asked_of, order_for_goal, question_of
from appliance.evaluation.retrieval.lexical import WordIndex, Words, as_read
from appliance.evaluation.retrieval.passages import shipped_passages
from appliance.evaluation.retrieval.semantic import MeaningIndex
from engines.errors import EngineError
from engines.language.encoder import SentenceEncoder
from engines.ranking import fused

CONSIDERED = 10
"""Places of either order that enter the fusion; chosen on split 'dev' among 10, 20 and 40: beyond ten, ranks are
noise."""

GOAL_CONSIDERED = 20
"""Passages that a goal's words may bring in behind those of its own. Chosen."""

LEAST_SIMILARITY = 0.40
"""A question whose nearest passage is less similar is called unanswered. Chosen on split 'dev' of the questions in
models/guidelines/questions; docs/evaluation/retrieval.md says what it does on split 'test'."""

LEAST_COVERED = 0.18
"""The same without the encoder: least share of the question's words, weighted by rarity, in the best passage."""

WITHOUT_MEANING = "Searched by words alone: {reason}. A question that uses other words than the passages may miss them"
NOTHING_NEAR = "No passage answers this; the nearest are shown and may be about something else"


class Library:
    """`encoder` None: by words alone, for `reason`."""

    def __init__(
        self,
        passages: Sequence[Passage],
        *,
        encoder: SentenceEncoder | None = None,
        reason: str = "the sentence encoder was not opened",
    ) -> None:
        self.passages = tuple(passages)
        self._by_id = {passage.id: passage for passage in passages}
        self._words = WordIndex(passages)
        self._meaning = MeaningIndex(passages, encoder) if encoder is not None else None
        self._reason = reason

    @property
    def by_meaning(self) -> bool:
        return self._meaning is not None

    def passage(self, name: str) -> Passage | None:
        return self._by_id.get(name)

    def ask(self, question: str, *, first: int = 3) -> PassageAnswer:
        """The passages nearest to a question in plain words. Never empty-handed without saying so."""
        words = self._words.words(question)
        by_words, similarities = self.orders(question, words)
        matches = self._matches(by_words, similarities, first)
        answered = self._is_answer(words, matches)
        return PassageAnswer(question, answered, matches, self._notes(words, answered))

    def ask_goal(self, goal: GoalAsked, *, first: int = 3) -> PassageAnswer:
        """The passage that the goal names and those of its structure and metric first; what the words find behind them,
        where those are fewer than `first`."""
        own = order_for_goal(goal, self.passages)
        answer = self.ask(question_of(goal), first=GOAL_CONSIDERED) if len(own) < first else None
        others = {match.passage.id: match for match in answer.matches} if answer else {}
        order = list(dict.fromkeys([*own, *others]))[:first]
        matches = tuple(self._goal_match(goal, name, others.get(name)) for name in order)
        notes = tuple(note for note in answer.notes if note != NOTHING_NEAR) if answer else ()
        if goal.passage and goal.passage not in self._by_id:
            notes += (f"The goal names the passage '{goal.passage}', which is not here",)
        found = any(match.by_goal for match in matches)
        if not found:
            notes += (f"No passage speaks of this metric of {goal.structure}; the nearest are shown",)
        return PassageAnswer(question_of(goal), found, matches, notes)

    def orders(self, question: str, words: Words | None = None) -> tuple[list[str], dict[str, float]]:
        """(ids by words, best first; cosine by id, empty without the encoder)."""
        read = words or self._words.words(question)
        by_words = self._words.order(read, first=CONSIDERED)
        return by_words, self._meaning.similarities(as_read(question, read)) if self._meaning else {}

    def _matches(
        self, by_words: Sequence[str], similarities: Mapping[str, float], first: int
    ) -> tuple[PassageMatch, ...]:
        by_meaning = sorted(similarities, key=lambda name: (-similarities[name], name))[:CONSIDERED]
        return tuple(
            PassageMatch(
                self._by_id[name],
                score,
                similarities.get(name),
                by_words.index(name) + 1 if name in by_words else 0,
                by_meaning.index(name) + 1 if name in by_meaning else 0,
            )
            for name, score in fused([by_words, by_meaning])[:first]
        )

    def _is_answer(self, words: Words, matches: Sequence[PassageMatch]) -> bool:
        if not matches:
            return False
        if self._meaning is not None:
            return max(match.similarity or 0.0 for match in matches) >= LEAST_SIMILARITY
        return self._words.covered(words, matches[0].passage.id) >= LEAST_COVERED

    def _notes(self, words: Words, answered: bool) -> tuple[str, ...]:
        notes = [f"'{written}' was read as '{read}'" for written, read in words.corrected]
        if self._meaning is None:
            notes.append(WITHOUT_MEANING.format(reason=self._reason))
        if not answered:
            notes.append(NOTHING_NEAR)
        return tuple(notes)

    def _goal_match(self, goal: GoalAsked, name: str, other: PassageMatch | None) -> PassageMatch:
        passage = self._by_id[name]
        own = answers_goal(goal, passage)
        if other is None:
            return PassageMatch(passage, 0.0, by_goal=own)
        return PassageMatch(passage, other.score, other.similarity, other.word_rank, other.meaning_rank, own)


def open_library(passages: Sequence[Passage] | None = None) -> Library:
    """The shipped passages (or those given) with the sentence encoder where it is installed. Raises RefusedGoals for
    passages that cannot be used; an encoder that is missing is said in every answer."""
    chosen = shipped_passages() if passages is None else passages
    try:
        encoder = SentenceEncoder.open()
    except EngineError as error:
        return Library(chosen, reason=str(error))
    return Library(chosen, encoder=encoder)


def passages_for_goals(
    goals: Sequence[ClinicalGoal], library: Library, *, fractions: int = 0
) -> tuple[tuple[str, PassageAnswer], ...]:
    """(goal as shown, the passage it rests on) for each goal, for the report's "Why these limits"."""
    return tuple((str(goal), library.ask_goal(asked_of(goal, fractions=fractions), first=1)) for goal in goals)
