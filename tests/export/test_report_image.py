"""The section on the image: every organ's numbers, every finding, nothing unescaped."""

from __future__ import annotations

from appliance.contracts import Finding, Outcome, Severity
from appliance.contracts.image_context import ImageContext, OrganAgreement
from appliance.export.report_image import image_section


def test_organs_and_findings_are_shown():
    seen = ImageContext(
        "tiny<net>",
        "ab" * 32,
        (
            OrganAgreement("Parotid_L", 9.64, 8.0, 0.4, 12.0, True),
            OrganAgreement("Brain", 1.0, None, None, None, False),
        ),
        (Finding("image.sides", "Sides", Severity.STOP, Outcome.FOUND, "swapped & more", "author's choice"),),
    )
    html = image_section(seen)
    for words in (
        "Parotid_L †",
        "9.6 cc",
        "8.0 cc",
        "0.40",
        "12.0 mm",
        "none",
        "tiny&lt;net&gt;",
        "swapped &amp; more",
    ):
        assert words in html
    assert "✗ found" in html and "<net>" not in html


def test_without_organs_there_is_no_table():
    why = Finding("image.sides", "Sides", Severity.STOP, Outcome.NOT_TESTED, "no network", "author's choice")
    html = image_section(ImageContext("", "", (), (why,)))
    assert "<table" not in html and "– not tested" in html and "no network" in html
