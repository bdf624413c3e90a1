"""Every shipped passage has its source; a file that lacks one, or says what cannot be computed, is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.contracts.goals import Metric
from appliance.errors import RefusedGoals
from appliance.evaluation.retrieval import load_passages, shipped_passages
from appliance.evaluation.retrieval.semantic import stored_vectors, text_digest

GOOD = """
[source.a]
paper = "Author et al., A paper about an organ, Journal 1:1, 2000"
doi = "10.1000/abc"

[[passage]]
id = "a.organ"
title = "An organ"
text = "An organ is harmed by more than some dose, says the paper."
structures = ["Organ"]
sites = ["site"]
endpoint = "harm"
limits = ["Mean <= 10 Gy", "D0.35cc <= 18 Gy in 3"]
source = "a"
where = "Table 1"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "some.toml").write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("passage", shipped_passages(), ids=lambda passage: passage.id)
def test_a_shipped_passage_says_where_it_comes_from(passage) -> None:
    assert passage.address.startswith("https://")
    assert any(year in passage.source for year in map(str, range(1980, 2027)))
    assert passage.where
    assert all(str(Metric.parse(limit.metric)) == limit.metric for limit in passage.limits)
    assert len(passage.text.split(". ")) <= 4


def test_there_are_enough_and_they_cover_what_was_asked_for() -> None:
    names = [passage.id for passage in shipped_passages()]
    assert len(names) == len(set(names)) >= 80
    families = {name.split(".")[0] for name in names}
    wanted = "quantec tg101 hytec openkbp-opt tg119 icru83 paddick mppg5b tg218 tg100 lq pccp mcs rtog0225 gortec"
    assert families >= set(wanted.split())


def test_shipped_vectors_are_of_the_shipped_texts() -> None:
    stored = stored_vectors()
    stale = [passage.id for passage in shipped_passages() if text_digest(passage) not in stored]
    assert not stale, "run bench/retrieval.py --write-vectors"


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (passage,) = load_passages(written(tmp_path, GOOD))
    assert passage.address == "https://doi.org/10.1000/abc"
    assert [str(limit) for limit in passage.limits] == ["Mean <= 10 Gy", "D0.35cc <= 18 Gy in 3 fractions"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('source = "a"\n', ""), "source: Field required"),
        (('source = "a"\n', 'source = "b"\n'), "does not state"),
        (('doi = "10.1000/abc"\n', ""), "doi or a url"),
        (('doi = "10.1000/abc"', 'doi = "somewhere"'), "doi"),
        (('where = "Table 1"\n', ""), "where: Field required"),
        (('"Mean <= 10 Gy"', '"Median <= 10 Gy"'), "not a known metric"),
        (('"Mean <= 10 Gy"', '"about 10 Gy"'), "is not a limit"),
        (('title = "An organ"', 'titel = "An organ"'), "title: Field required"),
        (('endpoint = "harm"', 'endpoint = "harm"\nmood = "good"'), "Extra inputs"),
    ],
)
def test_a_file_that_lacks_or_misspells_something_is_refused(tmp_path: Path, change, why) -> None:
    assert change[0] in GOOD
    with pytest.raises(RefusedGoals, match=why):
        load_passages(written(tmp_path, GOOD.replace(*change)))


def test_a_passage_that_is_there_twice_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedGoals, match="no guideline passages"):
        load_passages(tmp_path)
    passage = GOOD[GOOD.index("[[passage]]") :]
    with pytest.raises(RefusedGoals, match="twice"):
        load_passages(written(tmp_path, GOOD + passage))
