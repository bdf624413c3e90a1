"""Dose on the image, plane by plane: a grey PNG, a transparent colour wash, and isodoses and contours as vectors.

Every view is drawn in millimetres, so that its aspect is right whatever the voxels are and its scale bar is exact.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, replace

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image as Pillow

from appliance.contracts import CalculatedDose, Case, Evaluation, Plan
from appliance.export.report_dvh import swatch
from appliance.export.report_html import Styles, section, text
from appliance.export.report_planes import DisplayVolume, Plane

WINDOW_HU = (-160.0, 240.0)
"""Soft tissue, level 40 and width 400 HU: the usual planning window."""

WASH_FROM_PERCENT, WASH_TO_PERCENT, WASH_STEPS, WASH_ALPHA = 20.0, 112.0, 47, 92
"""Dose below the first is transparent; alpha of 255. Chosen, because anatomy must stay visible under the wash."""

WASH_COLOURS = (
    (20, 24, 150),
    (96, 10, 170),
    (160, 24, 150),
    (208, 70, 110),
    (240, 120, 70),
    (254, 190, 44),
    (246, 248, 90),
)
"""From cold to hot with steadily rising luminance, so that the order can be read without telling hues apart."""

LONGEST_SIDE_PIXELS = 460
"""Larger planes are averaged down for the picture (chosen to keep the report under 4 MB); vectors are not."""

AXIAL_COUNT = 6

VIEW_ASPECT, VIEW_MARGIN_MM = 1.2, 9.0
"""Width by height of all views, and the room left around the patient (chosen)."""


@dataclass(frozen=True)
class Isodose:
    """A level in percent of the highest prescription, and how its line is drawn. label_deg: where around the line its
    number stands, so that the numbers of neighbouring levels do not collide."""

    percent: int
    colour: str
    width: float
    dash: str
    label_deg: float


ISODOSES = (
    Isodose(30, "#7fa8ff", 1.1, "1.5 3", 165),
    Isodose(50, "#4fd8ff", 1.2, "5 3", 250),
    Isodose(80, "#5ff0b0", 1.2, "", 305),
    Isodose(95, "#ffe95c", 1.6, "7 2", 340),
    Isodose(100, "#ffffff", 1.4, "", 20),
    Isodose(105, "#ffffff", 1.8, "2 2", 60),
)


def slices_section(case: Case, plan: Plan, dose: CalculatedDose, evaluation: Evaluation) -> str:
    volume = DisplayVolume(case, dose, plan.beams[0].isocentre_mm)
    styles = Styles.of(case)
    reference_gy = max(target.prescribed_gy for target in evaluation.targets)
    main, series = volume.through_isocentre(), volume.axial_series(AXIAL_COUNT)
    body_name = case.external.tg263
    views = "".join(_view(plane, box_of(plane, body_name), styles, reference_gy) for plane in main)
    more = "".join(_view(plane, box_of(plane, body_name), styles, reference_gy) for plane in series)
    low_hu, high_hu, x, y, z = (
        f"{value:.1f}".removesuffix(".0").replace("-", "−") for value in (*WINDOW_HU, *volume.isocentre_mm)
    )
    body = (
        f'<p class="note">100 % is {reference_gy:g} Gy. Grey: {low_hu} to {high_hu} HU. Isocentre '
        f"(cross) at x {x}, y {y}, z {z} mm, DICOM patient coordinates. Contours are drawn as the plan was "
        "judged: where half of a voxel lies inside. A letter marks the side of the patient: Left, Right, Anterior, "
        f'Posterior, Superior, Inferior.</p><div class="views">{views}</div>{_key(case, styles, reference_gy)}'
    )
    if more:
        body += f'<h3>Through the targets, from superior to inferior</h3><div class="views">{more}</div>'
    return section("Dose on today's image", body, anchor="slices")


@dataclass(frozen=True)
class Box:
    """What a view shows: mm from the plane's left upper corner."""

    left: float
    top: float
    width: float
    height: float


def box_of(plane: Plane, body: str) -> Box:
    """The patient's outline in this plane and a margin, widened to the one aspect that all views share."""
    region = plane.regions.get(body)
    if region is None:
        region = np.ones_like(plane.dose_gy)
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    column_mm, row_mm = plane.pixel_mm
    left, right = columns[0] * column_mm - VIEW_MARGIN_MM, (columns[-1] + 1) * column_mm + VIEW_MARGIN_MM
    top, bottom = rows[0] * row_mm - VIEW_MARGIN_MM, (rows[-1] + 1) * row_mm + VIEW_MARGIN_MM
    width = max(right - left, (bottom - top) * VIEW_ASPECT)
    height = width / VIEW_ASPECT
    return Box((left + right - width) / 2, (top + bottom - height) / 2, width, height)


def _view(plane: Plane, box: Box, styles: Styles, reference_gy: float) -> str:
    hottest = 100 * float(plane.dose_gy.max()) / reference_gy
    said = f"Dose up to {hottest:.0f} % of {reference_gy:g} Gy over {', '.join(plane.regions)}"
    return view(plane, box, dose_layers(plane, box, styles, reference_gy), said)


def dose_layers(plane: Plane, box: Box, styles: Styles, reference_gy: float) -> str:
    """Colour wash, isodoses with their numbers, and contours."""
    wash = picture(plane, _wash_png(plane.dose_gy, reference_gy))
    lines = f"{_isodoses(plane, reference_gy)}{contours(plane, styles)}"
    return f"{wash}{lines}{_labels(plane, reference_gy, box.width)}"


def picture(plane: Plane, href: str) -> str:
    """A PNG over the whole plane."""
    width, height = plane.size_mm
    return f'<image width="{width:.1f}" height="{height:.1f}" preserveAspectRatio="none" href="{href}"/>'


def view(plane: Plane, box: Box, layers: str, said: str, *, what: str = "") -> str:
    """The image in grey, `layers` (SVG in mm from the plane's left upper corner) on it, and the frame that all views
    share. said: what is seen, for those who do not see; what: what the layers show, for the caption."""
    where = f"{plane.cut.title}, {'xyz'[2 - plane.cut.axis]} = {plane.position_mm:.1f} mm"
    body = (
        f'<g transform="translate({-box.left:.1f} {-box.top:.1f})">'
        f"{picture(plane, _grey_png(plane.hu))}{layers}{_cross(plane)}</g>"
    )
    box_mm = box.width, box.height
    frame = f"{_letters(plane.cut.letters, box_mm)}{_scale_bar(box_mm)}"
    title = f"{what}. {where}" if what else where
    return (
        f'<figure class="view"><svg viewBox="0 0 {box.width:.1f} {box.height:.1f}" role="img" '
        f'aria-label="{text(f"{title}. {said}")}">{body}{frame}</svg><figcaption>{text(title)}</figcaption></figure>'
    )


def _grey_png(hu: NDArray[np.int16]) -> str:
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    return _png(_reduced(Pillow.fromarray(np.ascontiguousarray(grey))))


def _wash_png(dose_gy: NDArray[np.float32], reference_gy: float) -> str:
    """Palette picture: entry 0 is transparent, the others are the colours from cold to hot."""
    percent = dose_gy * np.float32(100.0 / reference_gy)
    step = np.ceil((percent - WASH_FROM_PERCENT) * (WASH_STEPS / (WASH_TO_PERCENT - WASH_FROM_PERCENT)))
    place = np.linspace(0, len(WASH_COLOURS) - 1, WASH_STEPS)
    colours = [np.interp(place, range(len(WASH_COLOURS)), channel) for channel in zip(*WASH_COLOURS, strict=True)]
    return palette_png(np.clip(step, 0, WASH_STEPS), np.stack(colours, axis=1), WASH_ALPHA)


def palette_png(step: NDArray[np.floating], colours: NDArray[np.floating], alpha: int) -> str:
    """step (rows, columns): 0 is transparent, n is colours[n - 1] (n, 3; 0..255) with `alpha` (of 255)."""
    made = Pillow.fromarray(np.ascontiguousarray(step.astype(np.uint8)))
    palette = np.vstack([np.zeros((1, 3)), colours]).astype(np.uint8)
    made.putpalette(palette.tobytes())
    # Palette indices must not be averaged: a large picture is thinned instead.
    side = max(made.size)
    if side > LONGEST_SIDE_PIXELS:
        made.thumbnail((LONGEST_SIDE_PIXELS, LONGEST_SIDE_PIXELS), Pillow.Resampling.NEAREST, reducing_gap=None)
    return _png(made, transparency=bytes([0] + [alpha] * len(colours)))


def _reduced(picture: Pillow.Image) -> Pillow.Image:
    if max(picture.size) > LONGEST_SIDE_PIXELS:
        picture.thumbnail((LONGEST_SIDE_PIXELS, LONGEST_SIDE_PIXELS), Pillow.Resampling.BOX)
    return picture


def _png(picture: Pillow.Image, *, transparency: bytes | None = None) -> str:
    buffer = io.BytesIO()
    options = {} if transparency is None else {"transparency": transparency}
    picture.save(buffer, "PNG", optimize=True, **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def lines_mm(values: NDArray[np.float32], level: float, pixel_mm: tuple[float, float]) -> list[NDArray[np.float64]]:
    """Iso-lines (n, 2) in mm from the left upper corner, longest first. A border of zeros closes them."""
    padded = np.pad(values, 1)
    x_mm, y_mm = ((np.arange(n) - 0.5) * step for n, step in zip(padded.shape[::-1], pixel_mm, strict=True))
    lines = contour_generator(x_mm, y_mm, padded).lines(level)
    return sorted((np.asarray(line) for line in lines), key=len, reverse=True)


def path_of(lines: list[NDArray[np.float64]]) -> str:
    """Closed SVG path data in tenths of a millimetre."""
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) + "Z" for line in lines if len(line) > 2)


def structures_key(case: Case, styles: Styles) -> str:
    names = [structure.tg263 for structure in case.structures if not structure.voxels.empty]
    regions = "".join(f"<li>{swatch(replace(styles[name], dash=''))}{text(name)}</li>" for name in names)
    return f'<ul class="key view" aria-label="Structures">{regions}</ul>'


def contours(plane: Plane, styles: Styles) -> str:
    parts = []
    for name, region in plane.regions.items():
        data = path_of(lines_mm(region, 0.5, plane.pixel_mm))
        if data:
            parts.append(
                f'<path class="roi" style="stroke:{styles[name].colour}" d="{data}"><title>{text(name)}</title></path>'
            )
    return "".join(parts)


def _isodoses(plane: Plane, reference_gy: float) -> str:
    parts = []
    for isodose in ISODOSES:
        level_gy = reference_gy * isodose.percent / 100
        if data := path_of(lines_mm(plane.dose_gy, level_gy, plane.pixel_mm)):
            dash = f' stroke-dasharray="{isodose.dash}"' if isodose.dash else ""
            parts.append(
                f'<path class="iso" stroke="{isodose.colour}" stroke-width="{isodose.width}"{dash} d="{data}">'
                f"<title>{isodose.percent} % ({level_gy:.1f} Gy)</title></path>"
            )
    return "".join(parts)


def _labels(plane: Plane, reference_gy: float, box_width_mm: float) -> str:
    """The percentage of each level on its longest line, where that is long enough to carry it."""
    parts = []
    for isodose in ISODOSES:
        lines = lines_mm(plane.dose_gy, reference_gy * isodose.percent / 100, plane.pixel_mm)
        if lines and len(lines[0]) > 24:
            angle = math.radians(isodose.label_deg)
            x, y = lines[0][np.argmax(lines[0] @ np.array([math.cos(angle), math.sin(angle)]))]
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" style="fill:{isodose.colour}">{isodose.percent}</text>')
    size = box_width_mm * 0.03
    return (
        f'<g font-size="{size:.1f}" text-anchor="middle" stroke="#000" stroke-width="{size / 5:.1f}" '
        f'paint-order="stroke" aria-hidden="true">{"".join(parts)}</g>'
    )


def _cross(plane: Plane) -> str:
    if plane.marker_mm is None:
        return ""
    x, y = plane.marker_mm
    return (
        f'<path class="iso" stroke="#fff" stroke-width="1.2" d="M{x - 5:.1f} {y:.1f}h10M{x:.1f} {y - 5:.1f}v10">'
        "<title>Isocentre</title></path>"
    )


def _letters(letters: str, box_mm: tuple[float, float]) -> str:
    width, height = box_mm
    size = width * 0.045
    places = (
        (size * 0.7, height / 2),
        (width - size * 0.7, height / 2),
        (width / 2, size),
        (width / 2, height - size / 3),
    )
    marks = "".join(
        f'<text x="{x:.1f}" y="{y:.1f}">{letter}</text>' for letter, (x, y) in zip(letters, places, strict=True)
    )
    return (
        f'<g font-size="{size:.1f}" font-weight="700" text-anchor="middle" stroke="#000" stroke-width="{size / 6:.1f}" '
        f'paint-order="stroke">{marks}</g>'
    )


def _scale_bar(box_mm: tuple[float, float]) -> str:
    width, height = box_mm
    size, x, y = width * 0.032, width * 0.03, height - width * 0.035
    return (
        f'<path d="M{x:.1f} {y - 2:.1f}v4M{x:.1f} {y:.1f}h50M{x + 50:.1f} {y - 2:.1f}v4" fill="none" stroke="#fff" '
        f'stroke-width="1.5" vector-effect="non-scaling-stroke"/><text x="{x + 25:.1f}" y="{y - size / 2:.1f}" '
        f'font-size="{size:.1f}" text-anchor="middle">5 cm</text>'
    )


def _key(case: Case, styles: Styles, reference_gy: float) -> str:
    isodoses = []
    for isodose in reversed(ISODOSES):
        dash = f' stroke-dasharray="{isodose.dash}"' if isodose.dash else ""
        isodoses.append(
            f'<li><svg class="swatch" width="38" height="10" aria-hidden="true"><path d="M1 5H37" fill="none" '
            f'stroke="{isodose.colour}" stroke-width="{isodose.width + 0.4}"{dash}/></svg>{isodose.percent} % '
            f"({reference_gy * isodose.percent / 100:.1f} Gy)</li>"
        )
    return f'<ul class="key view" aria-label="Isodose lines">{"".join(isodoses)}</ul>{structures_key(case, styles)}'
