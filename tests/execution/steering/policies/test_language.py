"""A language model as the planner: the closed set of its answers, and what becomes of any other words."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import PolicyAnswerRefused
from appliance.evaluation import plan_scorer
from appliance.execution.policies.grammar import AT_ONCE, grammar_of, legal_changes, names_of, said, understood
from appliance.execution.policies.language import LanguagePolicy
from appliance.execution.steering.changes import Change, first_setting
from appliance.execution.steering.episode import PlanningEpisode, Terms, run_policy
from appliance.execution.steering.policy import STOP, Action, View
from engines.language.llama import LocalModel

from ..toy import ToyTps, toy_goals

K, R, T, A = Change.KEEP, Change.RAISE, Change.TIGHTEN, Change.ADD
NAMES = ("PTV D95%", "Left Mean", "Right Mean", "hot-spot limit", "dose of Left above 8 Gy")


def episode(terms: Terms | None = None) -> PlanningEpisode:
    goals = toy_goals(5.2, 4.0)
    return PlanningEpisode(ToyTps(goals), goals, plan_scorer(goals), terms=terms)


@cache
def first_view() -> View:
    return episode().reset()


def told(*answers: str):
    """A model that says these, one after the other, and keeps what it was asked."""
    asked: list[str] = []

    def complete(prompt: str, grammar: str) -> str:
        asked.append(prompt)
        return answers[len(asked) - 1]

    return complete, asked


def renamed(view: View, name: str) -> View:
    levers = tuple(
        replace(lever, first=replace(lever.first, structure=name)) if lever.offered else lever for lever in view.levers
    )
    return replace(view, levers=levers)


def test_objectives_are_named_as_a_planner_calls_them():
    view = first_view()
    assert names_of(view.goal_set, view.levers) == NAMES


def test_two_objectives_of_one_name_are_told_apart():
    view = first_view()
    assert names_of(view.goal_set, (view.levers[1],) * 3) == ("Left Mean", "Left Mean (2)", "Left Mean (3)")


def test_an_answer_becomes_its_changes():
    view = first_view()
    assert understood(view, "raise PTV D95%; tighten Left Mean\n") == Action((R, T, K, K, K))
    assert understood(view, "add dose of Left above 8 Gy\n") == Action((K, K, K, K, A))
    assert understood(view, "stop\n") == STOP


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "cut before its end"),
        ("raise PTV D95%", "cut before its end"),
        ("\n", "no change of an objective"),
        ("raise Heart Mean\n", "'raise Heart Mean' is no change of an objective"),
        ("raise PTV D95% by 20\n", "no change of an objective"),
        ("keep PTV D95%\n", "no change of an objective"),
        ("raise PTV D95%; stop\n", "'stop' is no change"),
        ("raise PTV D95%\nstop\n", "no change of an objective"),
        ("lower hot-spot limit\n", "'lower hot-spot limit' is not possible now"),
        ("add PTV D95%\n", "'add PTV D95%' is not possible now"),
        ("raise dose of Left above 8 Gy\n", "is not possible now"),
        ("raise PTV D95%; lower PTV D95%\n", "comes twice or out of order"),
        ("raise Left Mean; raise PTV D95%\n", "comes twice or out of order"),
        ("raise PTV D95%; raise Left Mean; raise Right Mean; raise hot-spot limit\n", "changed 4 objectives where 3"),
    ],
)
def test_any_other_words_are_refused_with_the_reason(answer, reason):
    with pytest.raises(PolicyAnswerRefused, match=reason) as refused:
        understood(first_view(), answer)
    assert refused.value.key == "planning.policy_answer"


def test_one_change_a_call_where_the_episode_allows_one():
    view = first_view()
    assert understood(view, "raise PTV D95%\n", changes=1) == Action((R, K, K, K, K))
    with pytest.raises(PolicyAnswerRefused, match="changed 2 objectives where 1 may be"):
        understood(view, "raise PTV D95%; raise Left Mean\n", changes=1)


def some_action(data: st.DataObject, view: View) -> Action:
    legal = legal_changes(view)
    levers = [number for number, possible in enumerate(legal) if possible]
    chosen = data.draw(st.lists(st.sampled_from(levers), min_size=1, max_size=AT_ONCE, unique=True))
    changes = [K] * len(legal)
    for number in chosen:
        changes[number] = data.draw(st.sampled_from(legal[number]))
    return Action(tuple(changes))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_legal_action_can_be_said_and_is_understood_as_it_was_meant(data):
    running = episode(Terms(calls=6))
    view = running.reset()
    while not running.done:
        action = some_action(data, view)
        assert understood(view, said(view, action)) == action
        view = running.step(action)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.data())
def test_no_name_of_a_structure_breaks_the_answer_or_the_grammar_s_lines(name, data):
    view = renamed(first_view(), name)
    action = some_action(data, view)
    assert understood(view, said(view, action)) == action
    assert all(line.count(" ::= ") >= 1 for line in grammar_of(view).splitlines())


def as_regex(grammar: str) -> str:
    """A second reading of a grammar without recursion: each rule put in the place of its name."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.splitlines())

    def expanded(body: str) -> str:
        parts = re.findall(r'"(?:\\.|[^"\\])*"|[a-z0-9-]+|[()|]', body)
        return "".join(part_of(part) for part in parts)

    def part_of(part: str) -> str:
        if part.startswith('"'):
            return re.escape(part[1:-1].replace("\\n", "\n"))
        return {"(": "(?:", ")": ")", "|": "|"}.get(part) or f"(?:{expanded(rules[part])})"

    return expanded(rules["root"])


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_grammar_lets_through_exactly_what_is_understood(most):
    """All lines of up to three changes of any objectives, legal or not, in any order."""
    view = first_view()
    allowed = re.compile(as_regex(grammar_of(view, changes=most)))
    single = [f"{word} {name}" for word in ("raise", "lower", "relax", "add") for name in NAMES]
    lines = ["stop", "", "raise", *("; ".join(parts) for n in (1, 2, 3) for parts in product(single, repeat=n))]
    let_through = {line for line in lines if allowed.fullmatch(line + "\n")}
    assert let_through == {line for line in lines if is_understood(view, line + "\n", most)}
    assert len(let_through) > 10


def is_understood(view: View, line: str, most: int) -> bool:
    try:
        understood(view, line, changes=most)
    except PolicyAnswerRefused:
        return False
    return True


def test_the_grammar_of_one_change_written_out():
    view = first_view()
    one = replace(view, levers=view.levers[3:4], setting=view.setting[3:4])
    assert grammar_of(one) == (
        'root ::= "stop\\n" | from-0-0\n'
        'change-0 ::= ("raise ") "hot-spot limit"\n'
        'from-0-0 ::= change-0 ("\\n")\n'
    )  # fmt: skip


def test_a_view_in_which_nothing_can_change_lets_only_stop_through():
    view = replace(first_view(), levers=(), setting=())
    assert grammar_of(view) == 'root ::= "stop\\n"\n'


def test_the_grammar_grows_with_the_objectives_not_with_their_square():
    view = first_view()
    sizes = [
        len(grammar_of(replace(view, levers=view.levers[:3] * many, setting=view.setting[:3] * many)))
        for many in (50, 100)
    ]
    assert sizes[1] < 2.2 * sizes[0]


def test_the_planner_is_told_what_is_missed_and_what_the_last_change_gained():
    running = episode()
    complete, asked = told("raise PTV D95%; tighten Left Mean\n", "stop\n")
    policy = LanguagePolicy(complete)
    before = running.reset()
    after = running.step(policy.act(before))
    policy.act(after)
    coverage = before.state.goal_values[0]
    missed = f"PTV D95% >= 20 Gy (priority 1) is {coverage:.4g}, missed by {5 * (20 - coverage):.1f} %."
    assert f"Objectives: {'; '.join(NAMES)}\nWeights so far: as at first.\n" in asked[0]
    assert missed in asked[0]
    gained = f"{after.score - before.score:+.1f} by: raise PTV D95%; tighten Left Mean."
    assert f"Weights so far: PTV D95% x2.\nScore {after.score:.1f} of 100, {gained}" in asked[1]
    assert asked[1].endswith("\nChange:")


def test_a_refused_answer_is_asked_for_once_more_with_the_reason():
    complete, asked = told("raise the dose to 80 Gy\n", "raise PTV D95%\n")
    policy = LanguagePolicy(complete)
    assert policy.act(first_view()) == Action((R, K, K, K, K))
    assert policy.refused == ["'raise the dose to 80 Gy' is no change of an objective of this plan"]
    assert asked[1].startswith(asked[0])
    assert asked[1].endswith(f"That was refused: {policy.refused[0]}.\nChange:")


def test_after_two_refused_answers_nothing_is_changed():
    running = episode()
    complete, asked = told("more!", "more!", "stop\n")
    policy = LanguagePolicy(complete)
    view = running.step(policy.act(running.reset()))
    assert running.steps[-1].setting == first_setting(running.levers)
    assert policy.answers == ["more!", "more!"]
    assert policy.act(view) == STOP
    assert "+0.0 by: no change." in asked[2] or "-0.0 by: no change." in asked[2]


def test_a_new_episode_begins_without_what_was_said_in_the_last():
    complete, asked = told("raise PTV D95%\n", "stop\n", "stop\n")
    policy = LanguagePolicy(complete)
    for _ in range(2):
        run_policy(episode(), policy)
    assert asked[2] == asked[0] != asked[1]
    assert policy.answers == ["stop\n"]


@pytest.fixture(scope="module")
def random_models(tmp_path_factory):
    pytest.importorskip("xllamacpp", reason="the extra 'language' is not installed")
    pytest.importorskip("gguf", reason="the package 'gguf', which writes the test's model, is not installed")
    from ....engines.language.tiny_gguf import write_tiny_gguf

    folder = tmp_path_factory.mktemp("models")
    return [LocalModel(write_tiny_gguf(folder / f"{seed}.gguf", seed)) for seed in range(3)]


@pytest.mark.parametrize("changes", [0, 1], ids=["up to three at once", "one at a time"])
def test_llama_cpp_with_random_weights_plans_whole_episodes_of_legal_changes(random_models, changes):
    """What llama.cpp makes of the grammar itself: no answer is refused, whatever the weights prefer."""
    spoken = set()
    for model in random_models:
        policy = LanguagePolicy(model.complete, changes=changes)
        found = episode(Terms(calls=8, changes=changes))
        best = run_policy(found, policy)
        assert policy.refused == []
        assert best.merit >= found.steps[0].merit
        spoken.update(policy.answers)
    assert len(spoken) > 1


def test_llama_cpp_reads_names_with_quotes_backslashes_and_other_scripts(random_models):
    for model in random_models:
        for name in ('Le"ft\\n', "ПОЧКА", "a;b\n]", "肝"):
            view = renamed(first_view(), name)
            answer = model.complete("Change:", grammar_of(view))
            assert understood(view, answer) is not None
