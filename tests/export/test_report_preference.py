"""The section on preference: what it says with and without a model, and nothing that a browser could run."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from appliance.contracts.preference import Attribution, Basis, PreferenceVerdict
from appliance.export.report_preference import SHOWN, preference_section

HOSTILE = "<script>alert(1)</script>"


def verdict(count: int = 3) -> PreferenceVerdict:
    parts = tuple(
        Attribution(f"f{i}", f"Feature {i} {HOSTILE}", "10 %", 1.0 + i, 0.5, 1.0 / (i + 1) * (-1) ** i, 0.1)
        for i in range(count)
    )
    return PreferenceVerdict(
        basis=Basis.PERSONAL,
        sentence=f"Dr A {HOSTILE} would approve this plan with a probability of 70 %.",
        physician="Dr A",
        probability=0.7,
        low=0.5,
        high=0.85,
        logit=0.847,
        base_logit=0.25,
        attributions=parts,
        own_cases=40,
        clinic_cases=300,
        clinic_physicians=6,
        calibrated="temperature 1.10, fitted to 280 decisions",
        model_digest="a" * 64,
        warnings=(f"site lung: {HOSTILE}",),
    )


def test_where_it_was_not_asked_there_is_no_section() -> None:
    assert preference_section(None) == ""


def test_without_a_model_it_says_so_and_shows_no_number() -> None:
    html = preference_section(PreferenceVerdict(Basis.NO_MODEL, "No preference model is active."))
    assert "No preference model is active." in html
    assert "%" not in html
    assert "<table" not in html
    assert "<svg" not in html


def test_every_part_is_there_and_escaped() -> None:
    html = preference_section(verdict())
    assert "<script" not in html
    for part in ("70 %", "+1.00", "-0.50", "+0.25", "temperature 1.10", "300 decisions", "6 physicians", "site lung"):
        assert part in html, part
    for svg in re.findall(r"<svg.*?</svg>", html, re.S):
        ElementTree.fromstring(svg)


def test_bars_point_to_the_side_they_speak_for() -> None:
    html = preference_section(verdict())
    bars = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg viewBox=\"0 0 260.*?</svg>", html, re.S)]
    ends = {bar.get("aria-label"): bar[0] for bar in bars}
    assert float(ends["for: +1.00"].get("x", "")) == pytest.approx(130.0)
    assert float(ends["for: +1.00"].get("width", "")) == pytest.approx(130.0)
    assert float(ends["against: -0.50"].get("x", "")) == pytest.approx(65.0)
    assert float(ends["against: -0.50"].get("width", "")) == pytest.approx(65.0)


def test_what_is_not_listed_is_summed() -> None:
    many = verdict(SHOWN + 5)
    html = preference_section(many)
    rest = sum(one.contribution for one in many.attributions[SHOWN:])
    assert "All other features" in html
    assert f"{rest:+.2f}" in html


def test_an_uncalibrated_probability_says_so() -> None:
    assert "Probability not calibrated." in preference_section(replace(verdict(), calibrated=""))
