"""An earlier course in the report: how it was laid on today's image, and what both courses add up to."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.contracts.prior import CumulativeResult, PriorCourse, RegistrationQuality
from appliance.export.report_html import section, table, text

TITLE, ANCHOR = "Earlier course", "prior-course"


def prior_section(course: PriorCourse | None) -> str:
    """'' where no earlier course was given."""
    if course is None:
        return ""
    body = _registration(course)
    if course.results:
        sources = list(dict.fromkeys(text_of for item in course.results for text_of in _sources(item)))
        body += _results(course.results, sources)
        listed = "".join(f'<li id="prior-{number}">{text(source)}</li>' for number, source in enumerate(sources, 1))
        body += f'<ol class="note" aria-label="Sources of the cumulative figures">{listed}</ol>'
    else:
        body += "<p>No organ with a limit was reached by the earlier course.</p>"
    notes = "".join(f"<li>{text(note)}</li>" for note in dict.fromkeys(course.notes))
    return section(TITLE, body + (f'<ul class="note">{notes}</ul>' if notes else ""), anchor=ANCHOR)


def _registration(course: PriorCourse) -> str:
    quality = course.registration
    since = "an unknown time" if course.days_since is None else f"{course.days_since:g} days"
    return (
        f"<p>{course.fractions} fractions, {since} before this course; earlier objects "
        f"<code>{text(course.prior_digest[:16])}</code>. {_fit(quality)}</p>"
    )


def _fit(quality: RegistrationQuality) -> str:
    organs = (
        f"{quality.organs_compared} organs drawn on both, the worst ({text(quality.organ)}) "
        f"{quality.organ_distance_mm:.1f} mm off with an overlap of {quality.organ_overlap:.2f}"
        if quality.organs_compared
        else "no organ drawn on both"
    )
    return (
        f"Laid on today's image ({text(quality.method)}, turned by {quality.rotation_deg:.1f}° and moved by "
        f"{quality.shift_mm:.1f} mm): similarity {quality.similarity:.2f}, overlap of the bodies "
        f"{quality.body_overlap:.2f}, outlines {quality.surface_mm:.1f} mm apart, {organs}. Uncertainty "
        f"{quality.uncertainty_mm:.1f} mm."
    )


def _results(results: Sequence[CumulativeResult], sources: Sequence[str]) -> str:
    caption = (
        "Cumulative: EQD2 of both courses, summed voxel by voxel, against limits turned into EQD2. The band is the "
        "earlier dose at its lowest and highest within the registration's uncertainty."
    )
    columns = ["Structure", "Metric", "#Limit", "#Both courses", "#Band", "Result", "#Earlier, hottest", "Source"]
    return table(caption, columns, [_row(item, sources) for item in results])


def _row(item: CumulativeResult, sources: Sequence[str]) -> list[str]:
    unit = text(item.unit)
    numbers = ", ".join(
        f'<a href="#prior-{sources.index(source) + 1}">{sources.index(source) + 1}</a>' for source in _sources(item)
    )
    recovered = f", {100 * item.recovery:.0f} % recovered" if item.recovery else ""
    return [
        text(item.structure.replace("+", " + ")),
        f"{text(item.metric)}, α/β {item.alpha_beta_gy:g} Gy",
        f'<abbr title="{text(item.limit_from)}">≤ {item.limit:.1f} {unit}</abbr>',
        f'<b class="v">{item.value:.1f}</b> {unit}',
        f"{item.low:.1f} to {item.high:.1f} {unit}",
        _verdict(item),
        f"{item.prior_largest_gy:.1f} Gy{recovered}",
        f"<sup>{numbers}</sup>",
    ]


def _verdict(item: CumulativeResult) -> str:
    tag = '<span class="tag good">✓ within</span>' if item.met else '<span class="tag bad">✗ above</span>'
    return tag if item.certain else f"{tag} not certain"


def _sources(item: CumulativeResult) -> tuple[str, ...]:
    """Limit, alpha/beta and recovery, each with where it comes from."""
    limit = f"Limit: {item.limit_from}. {item.source}"
    ratio = f"Alpha/beta {item.alpha_beta_gy:g} Gy: {item.alpha_beta_source}"
    recovery = f"Recovery {100 * item.recovery:.0f} %: {item.recovery_source}"
    return limit, ratio, recovery
