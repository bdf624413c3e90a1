"""The closed set of what a language model may answer to a view: changes that are legal now, or to stop.

An answer is one line: "stop", or changes joined by "; ", each a word and the name of an objective, in the order of the
list of objectives, so that no objective is changed twice and every action can be said in one way only:

    raise PTV D95%; tighten Left Mean

`grammar_of` writes the same set in GBNF (llama.cpp, grammars/README.md), so that a model can say nothing else. There is
no number in it that the model could choose: how far a change goes stands in `steering/changes.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from appliance.contracts import GoalSet
from appliance.errors import PolicyAnswerRefused
from appliance.execution.steering.changes import Change, Lever, is_legal
from appliance.execution.steering.policy import STOP, Action, View
from appliance.execution.telling_words import named

AT_ONCE = 3
"""Levers that one answer changes, where the episode lets any number (chosen: what fits a line)."""
SEPARATOR, END, STOP_WORD = "; ", "\n", "stop"
WORDS: dict[Change, str] = {change: change.name.lower() for change in Change if change is not Change.KEEP}
CHANGES = {word: change for change, word in WORDS.items()}
UNSPEAKABLE = re.compile(r"[;\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What a structure's name may have and an answer's line may not."""


def names_of(goal_set: GoalSet, levers: tuple[Lever, ...]) -> tuple[str, ...]:
    """Of each lever, in a planner's words, no two alike: "PTV D95%", "Left Mean (2)"."""
    names: list[str] = []
    for lever in levers:
        name = UNSPEAKABLE.sub(" ", named(goal_set, lever.first)).strip()
        same, number = name, 1
        while same in names:
            number += 1
            same = f"{name} ({number})"
        names.append(same)
    return tuple(names)


def legal_changes(view: View) -> tuple[tuple[Change, ...], ...]:
    """Of each lever what is legal now besides to keep it."""
    rows = zip(view.levers, view.setting, strict=True)
    return tuple(tuple(change for change in WORDS if is_legal(*row, change)) for row in rows)


def grammar_of(view: View, *, changes: int = 0) -> str:
    """changes: levers that one answer may change, as in the episode's Terms; 0: up to AT_ONCE.

    Rule `from-D-L` says what may follow where D changes were made and the next may be of lever L or a later one: it
    names L and hands on, so that the grammar grows with the number of objectives and not with its square."""
    names, legal, most = names_of(view.goal_set, view.levers), legal_changes(view), changes or AT_ONCE
    able = [number for number, possible in enumerate(legal) if possible]
    rules = [f"root ::= {literal(STOP_WORD + END)}" + (f" | from-0-{able[0]}" if able else "")]
    for number in able:
        words = " | ".join(literal(f"{WORDS[change]} ") for change in legal[number])
        rules.append(f"change-{number} ::= ({words}) {literal(names[number])}")
    for made in range(min(most, len(able))):
        for number, later in zip(able[made:], [*able[made + 1 :], None], strict=True):
            goes_on = later is not None and made + 1 < most
            more = f" | {literal(SEPARATOR)} from-{made + 1}-{later}" if goes_on else ""
            other = f" | from-{made}-{later}" if later is not None else ""
            rules.append(f"from-{made}-{number} ::= change-{number} ({literal(END)}{more}){other}")
    return "\n".join(rules) + "\n"


def literal(text: str) -> str:
    """As GBNF quotes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def said(view: View, action: Action) -> str:
    """The answer that means this action. KEEP alone cannot be said: "stop" is what nothing more is called."""
    if action.stop:
        return STOP_WORD + END
    names = names_of(view.goal_set, view.levers)
    pairs = zip(action.changes, names, strict=True)
    return SEPARATOR.join(f"{WORDS[c]} {name}" for c, name in pairs if c is not Change.KEEP) + END


def understood(view: View, answer: str, *, changes: int = 0) -> Action:
    """Raises PolicyAnswerRefused for anything that `grammar_of` would not let through."""
    if not answer.endswith(END):
        raise PolicyAnswerRefused("its answer was cut before its end")
    line = answer.removesuffix(END)
    if line == STOP_WORD:
        return STOP
    found = dict(_pairs(view, line))
    if len(found) > (changes or AT_ONCE):
        raise PolicyAnswerRefused(f"it changed {len(found)} objectives where {changes or AT_ONCE} may be")
    return Action(tuple(found.get(number, Change.KEEP) for number in range(len(view.levers))))


def _pairs(view: View, line: str) -> Iterator[tuple[int, Change]]:
    numbers = {name: number for number, name in enumerate(names_of(view.goal_set, view.levers))}
    legal, last = legal_changes(view), -1
    for part in line.split(SEPARATOR):
        word, _, name = part.partition(" ")
        if word not in CHANGES or name not in numbers:
            raise PolicyAnswerRefused(f"'{part[:60]}' is no change of an objective of this plan")
        number, change = numbers[name], CHANGES[word]
        if change not in legal[number]:
            raise PolicyAnswerRefused(f"'{part[:60]}' is not possible now")
        if number <= last:
            raise PolicyAnswerRefused(f"'{part[:60]}' comes twice or out of order")
        last = number
        yield number, change
