"""The report as a reader's browser sees it: right numbers, nothing from outside, pictures the right way round.

Over 400 lines because one made-up case and its page serve every test; parts by themselves are in test_report_parts.py.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image as Pillow

from appliance.contracts import (
    Beam,
    CalculatedDose,
    Case,
    ClinicalGoal,
    Comparator,
    ControlPoint,
    DvhCurve,
    Evaluation,
    GoalResult,
    GoalSet,
    Grade,
    Identity,
    Image,
    Jaws,
    Metric,
    Plan,
    PlanFacts,
    SourceObject,
    Structure,
    StructureKind,
    TargetIndices,
)
from appliance.errors import ExportError
from appliance.export.report import Beside, write_report
from appliance.export.report_html import value_beside_limit
from engines.grid import Grid, VoxelSet

GRID = Grid((-100.0, -80.0, -60.0), (2.0, 2.0, 4.0), (31, 81, 101))
HOSTILE = '<img src=x onerror="alert(1)">&\'Core'
TIMELINE = [
    {"stage": "planning", "started": "2030-01-01T10:00:00Z", "seconds": 12.0},
    {"stage": "evaluating <now>", "started": "2030-01-01T10:00:12Z", "seconds": 0.5},
]


def box(low_mm: tuple[float, float, float], high_mm: tuple[float, float, float]) -> VoxelSet:
    x, y, z = ((axis >= low) & (axis <= high) for axis, low, high in zip(GRID.axes_mm(), low_mm, high_mm, strict=True))
    return VoxelSet.from_dense((z[:, None, None] & y[None, :, None] & x[None, None, :]).astype(np.float32))


def made_case() -> Case:
    """A body with a bone at the patient's left, front and top: bright there, and nowhere else."""
    body, bone = box((-90, -70, -60), (90, 70, 60)), box((50, -60, 20), (70, -40, 52))
    hu = np.full(GRID.shape, -1000, np.int16)
    hu.reshape(-1)[body.index] = 0
    hu.reshape(-1)[bone.index] = 900
    structures = (
        Structure(1, "BODY", "External", StructureKind.EXTERNAL, (), body),
        Structure(2, "PTV", "PTV", StructureKind.TARGET, (), box((-20, -20, -20), (20, 20, 20))),
        Structure(3, HOSTILE, HOSTILE, StructureKind.ORGAN, (), box((-10, 30, -20), (10, 50, 20))),
    )
    source = SourceObject("1.2", "1.2.3", "1.2.4", "RTSTRUCT", Path("rs.dcm"), "5" * 64)
    return Case(
        digest="c" * 64,
        identity=Identity("ID-7 <7>", "Doe^Jane", "", "F", "1.2.9"),
        frame_of_reference_uid="1.2.5",
        patient_position="HFS",
        image=Image(GRID, hu),
        structures=structures,
        prescription=(),
        fractions=25,
        images=(),
        structure_set=source,
    )


def made_plan() -> Plan:
    """One segment: two of four leaf pairs open, X from -10 to 20 mm, inside the jaws."""
    leaves = {"leaf_a_mm": (0.0, -10.0, -10.0, 0.0), "leaf_b_mm": (0.0, 20.0, 20.0, 0.0)}
    point = ControlPoint(0.0, 40.0, 2.0, 0.0, Jaws(-30.0, 30.0, -8.0, 10.0), **leaves)
    beam = Beam(
        1,
        "G040",
        "millennium120",
        6.0,
        "STANDARD",
        (4.0, -6.0, 0.0),
        1000.0,
        600.0,
        (-20, -10, 0, 10, 20),
        (point, replace(point, cumulative_mu=57.3)),
    )
    return Plan("Adapted & new", (beam,), 25, "HFS")


def made_dose(plan: Plan, grid: Grid = GRID) -> CalculatedDose:
    """60 Gy on the z axis, falling 1 Gy a mm from it: the 50 Gy line is a circle of 10 mm radius."""
    x_mm, y_mm, z_mm = grid.axes_mm()
    radius = np.hypot(x_mm[None, None, :], y_mm[None, :, None])
    dose_gy = np.broadcast_to(np.maximum(60 - radius, 0), (z_mm.size, y_mm.size, x_mm.size)).astype(np.float32)
    return CalculatedDose(grid, dose_gy, plan.digest, "pencil beam", "generic_6mv")


def made_goals() -> GoalSet:
    goal = ClinicalGoal("PTV", Metric.parse("D95%"), Comparator.AT_LEAST, 50.0, "Gy", 1, "Report <119>", True)
    return GoalSet("c-shape", "C-shape", "c-shape", 25, (("PTV", 50.0),), (goal,), "9" * 64, notes=("Chosen >= known",))


def made_evaluation(dose: CalculatedDose) -> Evaluation:
    source = "Report <119>"
    return Evaluation(
        goals=(
            GoalResult("PTV", "V50Gy", ">=", 95.0, "%", 97.25, True, 1, source, False, Grade.PASS, None, 10.0, 10.0),
            GoalResult(
                "PTV", "D95%", ">=", 50.0, "Gy", 49.998, False, 1, source, True, Grade.VARIATION, 48.0, 9.9, 10.0
            ),
            GoalResult(
                *(HOSTILE, "Mean", "<=", 25.0, "Gy", 26.5, False, 2, "Another", False, Grade.FAIL, None, 1.6, 5.0),
                endpoint="dry <mouth>",
                doi="10.1000/1",
            ),
        ),
        dvh=tuple(
            DvhCurve(name, volume_cc, 30.0, 0.0, 60.0, (0.0, 30.0, 60.0, 60.1), (100.0, 50.0, 1.0, 0.0))
            for name, volume_cc in (("External", 3000.0), ("PTV", 64.0), (HOSTILE, 16.0))
        ),
        targets=(TargetIndices("PTV", 50.0, 0.81, 0.07),),
        plan=PlanFacts(57.3, 1, 2, 1, True, (), 12.0, (12.0,), (5.7,), mcs=0.437, mu_per_gy=301.0),
        hottest_01cc_gy=54.5,
        plan_digest=dose.plan_digest,
        dose_digest=dose.digest,
        goal_set="c-shape",
        goal_set_digest="8" * 64,
    )


class Page(HTMLParser):
    """Elements with their attributes, and the cells of every table as text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    plan = made_plan()
    dose = made_dose(plan)
    evaluation = made_evaluation(dose)
    cold = replace(evaluation.goals[1], value=41.234, grade=Grade.FAIL, score=0.0)
    worse = replace(evaluation, goals=(evaluation.goals[0], cold))
    write_report(made_case(), made_goals(), plan, dose, evaluation, TIMELINE, path, beside=Beside(worse))
    return path.read_text("utf-8")


def svgs(html: str, kind: str) -> list[ElementTree.Element]:
    """The drawings inside elements whose class or own class is `kind`, parsed as XML."""
    return [ElementTree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", html, re.S) if kind in part]


def view(html: str, title: str) -> ElementTree.Element:
    return next(svg for svg in svgs(html, "<image") if (svg.get("aria-label") or "").startswith(title))


def test_nothing_comes_from_outside(html: str) -> None:
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "video", "base"}
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, value)
        assert not [name for name in attributes if name.startswith("on")]
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert "url(" not in html
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_hostile_names_stay_text(html: str) -> None:
    assert "<img" not in html
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;&#x27;Core" in html
    assert "ID-7 &lt;7&gt;" in html
    assert "Adapted &amp; new" in html
    assert "evaluating &lt;now&gt;" in html
    assert "Report &lt;119&gt;" in html


def test_says_what_it_is_and_whose(html: str) -> None:
    assert html.count("Research software. Not for clinical use.") == 2
    assert "Doe Jane" in html
    assert "names the patient and stays with the case" in html
    assert "c" * 16 in html


def test_goals_table(html: str) -> None:
    goals = Page(html).tables[0]
    assert goals[0] == [
        "Structure",
        "Goal",
        "This plan",
        "Result",
        "Score",
        "Priority",
        "Protects from",
        "Source",
    ]
    tolerable = "△ acceptable variation"
    assert goals[1:] == [
        [HOSTILE, "Mean ≤ 25 Gy", "26.50 Gy", "✗ fail", "1.6 of 5", "2", "dry <mouth>", "1"],
        ["PTV", "D95% ≥ 50 Gy (tolerable ≥ 48) ≈", "49.998 Gy", tolerable, "9.9 of 10", "1", "–", "2"],
        ["PTV", "V50Gy ≥ 95 %", "97.2 %", "✓ pass", "10.0 of 10", "1", "–", "2"],
    ]
    assert "Another, doi:10.1000/1" in html
    assert "Score of the plan: 21.5 of 25." in html


def test_score_bars_are_as_long_as_their_share(html: str) -> None:
    bars = svgs(html, 'class="score"')
    lengths = [float(bar.findall("rect")[1].get("width")) / float(bar.findall("rect")[0].get("width")) for bar in bars]
    assert lengths == pytest.approx([1.6 / 5, 9.9 / 10, 1.0], abs=0.001)
    assert bars[0].get("aria-label") == "score 1.6 of 5"


def test_the_scheduled_plan_stands_beside_with_the_difference(html: str) -> None:
    rows = Page(html).tables[2]
    assert rows[0][4:] == ["Scheduled plan today", "Result", "Score, this plan less that"]
    tolerable = "△ acceptable variation"
    assert rows[1:] == [
        [HOSTILE, "Mean ≤ 25 Gy", "26.50 Gy", "✗ fail", "not judged", "–", "–"],
        ["PTV", "D95% ≥ 50 Gy", "49.998 Gy", tolerable, "41.23 Gy", "✗ fail", "+9.9"],
        ["PTV", "V50Gy ≥ 95 %", "97.2 %", "✓ pass", "97.2 %", "✓ pass", "±0.0"],
    ]
    assert "score 10.0 of 20, 1 pass, 0 acceptable variation, 1 fail; difference on the goals of both +9.9." in html


def test_notes_and_figures_at_a_glance(html: str) -> None:
    assert "<li>Chosen ≥ known</li>" in html
    assert "1 of 3" in html
    assert "clinical goals met, 1 more within acceptable variation; score 21.5 of 25" in html
    assert "hottest 0.1 cc, 109.0 % of 50 Gy (wanted ≤ 110 %)" in html
    assert "Deliverable" in html
    assert "12.5 s" in html


@pytest.mark.parametrize(
    ("value", "limit", "comparator", "met", "shown"),
    [
        (49.998, 50.0, ">=", False, "49.998"),
        (50.0, 50.0, ">=", True, "50.00"),
        (50.003, 50.0, "<=", False, "50.003"),
        (49.2, 50.0, "<=", True, "49.20"),
        (26.0000001, 26.0, "<=", False, "26.0000001"),
    ],
)
def test_rounding_never_contradicts_the_judgement(value, limit, comparator, met, shown) -> None:
    goal = GoalResult("PTV", "D95%", comparator, limit, "Gy", value, met, 1, "source")
    assert value_beside_limit(value, goal) == shown


def test_every_drawing_is_well_formed_and_named(html: str) -> None:
    drawings = [ElementTree.fromstring(part) for part in re.findall(r"<svg.*?</svg>", html, re.S)]
    assert len(drawings) > 10
    for drawing in drawings:
        assert drawing.get("aria-hidden") == "true" or (drawing.get("role") == "img" and drawing.get("aria-label"))


def test_views_keep_the_aspect_of_the_patient(html: str) -> None:
    """The picture covers its plane in mm: 184 + 16 by 144 + 16 with the margin (12 mm, cut by the image's edge)."""
    for title, size in (("Axial", (202.0, 162.0)), ("Coronal", (202.0, 124.0)), ("Sagittal", (162.0, 124.0))):
        picture = view(html, title).find(".//image")
        assert (float(picture.get("width")), float(picture.get("height"))) == size


@pytest.mark.parametrize(
    ("title", "letters", "bright"),
    [
        ("Axial, z = 36.0", "RLAP", ("right", "top")),
        ("Coronal, y = -50.0", "RLSI", ("right", "top")),
        ("Sagittal, x = 60.0", "APSI", ("left", "top")),
    ],
)
def test_pictures_are_the_right_way_round(tmp_path: Path, title: str, letters: str, bright: tuple[str, str]) -> None:
    """The bone at the patient's left, front and top appears beside those letters."""
    plan = made_plan()
    beam = replace(plan.beams[0], isocentre_mm=(60.0, -50.0, 36.0))
    plan = replace(plan, beams=(beam,))
    dose = made_dose(plan)
    write_report(made_case(), made_goals(), plan, dose, made_evaluation(dose), TIMELINE, tmp_path / "report.html")
    drawing = view((tmp_path / "report.html").read_text("utf-8"), title)
    assert [node.text for node in drawing.iter("text") if node.text in set("RLAPSI")] == list(letters)
    encoded = drawing.find(".//image").get("href").removeprefix("data:image/png;base64,")
    grey = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(encoded)))).astype(int)
    rows, columns = np.nonzero(grey == 255)
    middle_row, middle_column = (n / 2 for n in grey.shape)
    assert ("left" if columns.max() < middle_column else "right" if columns.min() > middle_column else "") == bright[0]
    assert ("top" if rows.max() < middle_row else "bottom" if rows.min() > middle_row else "") == bright[1]


def outline_mm(drawing: ElementTree.Element, title: str) -> np.ndarray:
    path = next(node for node in drawing.iter("path") if (node.findtext("title") or "").startswith(title))
    return np.array([[float(v) for v in pair.split()] for pair in re.findall(r"[-\d.]+ [-\d.]+", path.get("d"))])


def test_isodose_and_contour_lie_where_they_are(html: str) -> None:
    """The 100 % line (50 Gy) is a circle of 10 mm; the target a square of 42 mm (21 voxels); both in the middle."""
    drawing = view(html, "Axial")
    circle, square = outline_mm(drawing, "100 %"), outline_mm(drawing, "PTV")
    assert circle.mean(axis=0) == pytest.approx([101, 81], abs=0.3)
    assert np.linalg.norm(circle - [101, 81], axis=1) == pytest.approx(10, abs=0.2)
    assert np.ptp(square, axis=0) == pytest.approx([42, 42], abs=0.11)
    cross = next(node for node in drawing.iter("path") if node.findtext("title") == "Isocentre")
    assert cross.get("d").startswith("M100.0 75.0h10")


def test_a_dose_on_a_coarser_grid_is_drawn_in_the_same_place(tmp_path: Path) -> None:
    plan = made_plan()
    dose = made_dose(plan, Grid((-93.0, -75.0, -60.0), (3.0, 3.0, 5.0), (25, 51, 63)))
    write_report(made_case(), made_goals(), plan, dose, made_evaluation(dose), TIMELINE, tmp_path / "r.html")
    circle = outline_mm(view((tmp_path / "r.html").read_text("utf-8"), "Axial"), "100 %")
    assert np.linalg.norm(circle - [101, 81], axis=1) == pytest.approx(10, abs=0.5)


def test_aperture_shows_the_opening_between_leaves_and_jaws(html: str) -> None:
    """Leaf pairs from -10 to 0 and 0 to 10 mm are open; the Y jaws cut the lower one at -8. Y points up."""
    (drawing,) = [svg for svg in svgs(html, "Segment 1") if svg.get("aria-label") == "Segment 1 of beam 1"]
    opening = next(node for node in drawing.iter("path") if node.get("class") == "open")
    assert opening.get("d") == "M-10.0 0.0H20.0V8.0H-10.0ZM-10.0 -10.0H20.0V0.0H-10.0Z"
    assert "57.3 MU" in html


def test_machine_table(html: str) -> None:
    beams = Page(html).tables[4]
    assert "301 MU per Gy" in html and "modulation complexity score 0.437" in html
    assert beams[1] == [
        "1. G040",
        "millennium120, 6 MV, 600 MU/min",
        *("40", "2", "0"),
        *("57.3", "1", "12.0"),
        "−30 / 30",
        "−8 / 10",
    ]


def test_dvh_curves_and_goal_marks(html: str) -> None:
    (drawing,) = svgs(html, 'class="dvh"')
    curves = [node for node in drawing.iter("path") if (node.get("class") or "").startswith("curve")]
    assert len(curves) == 6, "three of this plan, three of the scheduled one"
    titles = [node.findtext("title") for node in drawing.iter("path")]
    assert "PTV D95% >= 50 Gy: 49.998 Gy, not met" in titles
    assert "PTV: 50 Gy prescribed" in titles
    target = next(node for node in curves if node.get("class") == "curve target")
    assert target.get("stroke-dasharray") is None
    assert all(node.get("stroke-dasharray") for node in curves if node.get("class") == "curve")


@pytest.mark.parametrize("what", ["plan", "dose", "goals"])
def test_a_report_of_mixed_plans_is_refused(tmp_path: Path, what: str) -> None:
    plan, goals = made_plan(), made_goals()
    dose = made_dose(plan)
    evaluation = made_evaluation(dose)
    if what == "plan":
        plan = replace(plan, label="another")
    elif what == "dose":
        dose = replace(dose, dose_gy=dose.dose_gy * np.float32(1.01))
    else:
        goals = replace(goals, name="prostate")
    with pytest.raises(ExportError, match="belongs to another"):
        write_report(made_case(), goals, plan, dose, evaluation, TIMELINE, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_timeline_without_seconds_is_refused(tmp_path: Path) -> None:
    plan = made_plan()
    dose = made_dose(plan)
    with pytest.raises(ExportError, match="without a stage and its seconds"):
        write_report(
            made_case(), made_goals(), plan, dose, made_evaluation(dose), [{"stage": "planning"}], tmp_path / "r"
        )


def test_a_noisy_full_size_image_stays_small_and_quick(tmp_path: Path) -> None:
    """512 x 512 pixels of noise over the whole window compress worst."""
    grid = Grid((-255.5, -255.5, -60.0), (1.0, 1.0, 3.0), (40, 512, 512))
    rng = np.random.default_rng(7)
    base = made_case()
    whole = VoxelSet(np.arange(grid.size, dtype=np.int32), np.ones(grid.size, np.float32))
    target = np.zeros(grid.shape, np.float32)
    target[10:30, 230:280, 230:280] = 1
    structures = (
        replace(base.structures[0], voxels=whole),
        replace(base.structures[1], voxels=VoxelSet.from_dense(target)),
    )
    hu = rng.normal(40, 60, grid.shape).astype(np.int16)
    case = replace(base, image=Image(grid, hu), structures=structures)
    plan = made_plan()
    dose = made_dose(plan, grid)
    write_report(case, made_goals(), plan, dose, made_evaluation(dose), TIMELINE, tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
