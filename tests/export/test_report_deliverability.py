"""The section on delivery: every number comes from the contract, collisions are told first, names are escaped."""

from __future__ import annotations

from html.parser import HTMLParser

from appliance.contracts import Finding, Outcome, Severity
from appliance.contracts.deliverability import (
    BeamDeliverability,
    Clearance,
    ComplexityFigures,
    Deliverability,
    Nearest,
    PeerRank,
)
from appliance.export.report_deliverability import deliverability_section, figure

FIGURES = ComplexityFigures(
    mu=412.0, control_arcs=178, arc_deg=356.0, mcs=0.2345, mean_area_mm2=2613.4, mu_per_gy=206.0
)
NEAR = (
    Nearest(1, "patient", 118.2, 30.0, 92.0, 0.0, 46, (210.0, 1.0, 2.0)),
    Nearest(1, "<Couch>", -7.6, 10.0, 131.0, 5.0, 66, (265.0, 225.0, 0.0)),
)


def made(clear: Clearance) -> Deliverability:
    found = Finding("clearance.couch", "Keeps clear", Severity.STOP, Outcome.FOUND, "8 mm into the couch", "TG-275")
    return Deliverability(
        machine="millennium120",
        technique="VMAT",
        plan=FIGURES,
        beams=(BeamDeliverability(1, "Arc & one", 71.25, FIGURES),),
        time_s=71.25,
        clearance=clear,
        peers=(PeerRank("mcs", 0.2345, 40, 62.5),),
        findings=(found,),
        notes=("a note",),
    )


class Tags(HTMLParser):
    """Fails on a tag that is closed without having been opened."""

    VOID = ("path", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def read(html: str) -> str:
    parser = Tags()
    parser.feed(html)
    assert parser.open == []
    return parser.words


def test_collisions_figures_and_their_sources_are_shown():
    clear = Clearance(True, NEAR, -7.6, (0.0, 120.0, 240.0), (100.0, -7.6, 500.0), ("a limit",), ("not scanned",))
    html = deliverability_section(made(clear))
    words = read(html)
    assert "-8 mm" in words and "✗ collision" in words and "✓ over 30 mm" in words
    assert words.index("✗ collision") < words.index("✓ over 30 mm")
    assert "8 mm into the couch" in words and "A limit." in words and "Not scanned." in words
    assert "0.234" in words and "2613 mm²" in words and "206 MU/Gy" in words and "1 min 11 s" in words
    assert "McNiven et al., Med Phys 37:505, 2010" in words and "62 % of 40 are simpler" in words
    assert "<Couch>" not in html and "&lt;Couch&gt;" in html and "Arc &amp; one" in html
    assert "leaf speed" not in words  # what has no value has no row


def test_what_rounding_leaves_of_no_spread_is_nothing():
    assert [figure(value) for value in (7.15e-14, 0.00957, 26.4, 330.4)] == ["0", "0.00957", "26.4", "330"]


def test_what_was_not_judged_says_why():
    words = read(deliverability_section(made(Clearance(False, limits=("nobody measured",)))))
    assert "Not judged: nobody measured." in words and "collision" not in words
