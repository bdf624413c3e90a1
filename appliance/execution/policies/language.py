"""A language model as the planner: it reads goals and doses as text and answers with changes within a grammar.

In the manner of Liu et al., Automated radiotherapy treatment planning guided by GPT-4Vision (arXiv 2406.15609, 2024),
where a model is shown the plan after each optimisation and proposes how to change the objectives; of text alone here,
and with a local model. It proposes from a closed set (`grammar.py`): no dose, weight or other number that it writes
reaches the planning system. Whoever plans hands the model in."""

from __future__ import annotations

import math
from collections.abc import Callable

from appliance.contracts import ClinicalGoal
from appliance.errors import PolicyAnswerRefused
from appliance.execution.policies.grammar import END, UNSPEAKABLE, grammar_of, legal_changes, names_of, said, understood
from appliance.execution.rules import hot_limit_gy, hot_shortfall, shortfall
from appliance.execution.steering.changes import Change
from appliance.execution.steering.policy import Action, View

Complete = Callable[[str, str], str]
"""prompt, grammar (GBNF) -> the words that follow the prompt."""

TRIES = 2
TASK = """A radiotherapy planner improves a plan. After each optimisation the planner sees the goals and says what to \
change:
raise, lower: more or less weight on an objective. tighten, relax: ask more or less of it. add: a new objective.
stop: nothing more is worth changing. First targets, then organs in the order of their priority.

Objectives: Tumour D95%; Lung Mean; Cord D0.1cc; hot-spot limit
Score 81.0 of 100. Tumour D95% >= 50 Gy is 48.1, missed by 3.8 %. Lung Mean <= 15 Gy is 12.0, met. \
Cord D0.1cc <= 40 Gy is 37.5, met. Hot spot <= 55 Gy is 53.9, met.
Change: raise Tumour D95%
Score 87.5 of 100, +6.5 by: raise Tumour D95%. Tumour D95% >= 50 Gy is 50.2, met. Lung Mean <= 15 Gy is 16.2, \
missed by 8.0 %. Cord D0.1cc <= 40 Gy is 38.8, met. Hot spot <= 55 Gy is 55.4, missed by 0.7 %.
Change: raise Lung Mean; raise hot-spot limit
Score 93.1 of 100, +5.6 by: raise Lung Mean; raise hot-spot limit. Tumour D95% >= 50 Gy is 50.1, met. \
Lung Mean <= 15 Gy is 14.8, met. Cord D0.1cc <= 40 Gy is 38.5, met. Hot spot <= 55 Gy is 54.8, met.
Change: tighten Lung Mean
"""
"""What every prompt begins with: the task, and a case that is made up."""


class LanguagePolicy:
    """changes: levers that one call may change, as in the episode's Terms; 0: up to `grammar.AT_ONCE`. An answer that
    is not understood is refused, with the reason, and asked for once more; after a second one nothing is changed in
    that call. answers: all that the model said in the episode, refused ones too; refused: why, for each of those.

    One object plans one episode after the other; a new one is known by its calls, which do not count down. What the
    model itself raises is passed on."""

    name = "language"

    def __init__(self, complete: Complete, *, changes: int = 0) -> None:
        self._complete, self._changes = complete, changes
        self._before: View | None = None
        self._words = ""
        self.answers: list[str] = []
        self.refused: list[str] = []

    def act(self, view: View) -> Action:
        before = self._before
        if before is None or view.calls_left >= before.calls_left:
            self._before, self._words, self.answers, self.refused = None, "", [], []
        action = self._asked(view)
        kept = not action.stop and all(change is Change.KEEP for change in action.changes)
        self._before, self._words = view, "no change" if kept else said(view, action).removesuffix(END)
        return action

    def _asked(self, view: View) -> Action:
        prompt, grammar = self.prompt(view), grammar_of(view, changes=self._changes)
        for _ in range(TRIES):
            answer = self._complete(prompt, grammar)
            self.answers.append(answer)
            try:
                return understood(view, answer, changes=self._changes)
            except PolicyAnswerRefused as error:
                reason = str(error.fields["reason"])
                self.refused.append(reason)
                prompt += f" {answer.strip()}{END}That was refused: {reason}.{END}Change:"
        return Action(tuple(Change.KEEP for _ in view.levers))

    def prompt(self, view: View) -> str:
        """The task, then the case: what stays the same first, so that a model need not read it again. Goals of absent
        structures are left out, and objectives of which nothing can be changed."""
        names, legal = names_of(view.goal_set, view.levers), legal_changes(view)
        steered = "; ".join(name for name, possible in zip(names, legal, strict=True) if possible)
        weights = ", ".join(
            f"{name} x{position.weight:g}"
            for name, position in zip(names, view.setting, strict=True)
            if position.active and position.weight != 1
        )
        pairs = zip(view.goal_set.goals, view.state.goal_values, strict=True)
        seen = [_told(goal, value) for goal, value in pairs if not math.isnan(value)]
        hot = _judged(hot_shortfall(view.goal_set, view.state.hottest_gy))
        seen.append(f"Hot spot <= {hot_limit_gy(view.goal_set):.4g} Gy is {view.state.hottest_gy:.4g}, {hot}.")
        lines = [f"Objectives: {steered}", f"Weights so far: {weights or 'as at first'}."]
        return f"{TASK}\n{END.join(lines)}\nScore {view.score:.1f} of 100{self._gain(view)}. {' '.join(seen)}\nChange:"

    def _gain(self, view: View) -> str:
        before = self._before
        return "" if before is None else f", {view.score - before.score:+.1f} by: {self._words}"


def _told(goal: ClinicalGoal, value: float) -> str:
    name = UNSPEAKABLE.sub(" ", str(goal))
    return f"{name} (priority {goal.priority}) is {value:.4g}, {_judged(shortfall(goal, value))}."


def _judged(missed: float) -> str:
    return f"missed by {100 * missed:.1f} %" if missed > 0 else "met"
