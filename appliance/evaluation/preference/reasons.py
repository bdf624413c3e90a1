"""Why a plan was not good enough: a code for each group of features, found in what was typed.

A reason is either given as code, '[gland] right side too hot', or found by word: names of structures and a few words
for what a plan has. Nothing found means no reason is learned from; the decision itself still counts.
"""

from __future__ import annotations

import re

from appliance.evaluation.preference.catalogue import FEATURES
from appliance.evaluation.preference.organ_classes import CLASSES

CODES: tuple[str, ...] = tuple(dict.fromkeys(feature.reason for feature in FEATURES))

_EXPLICIT = re.compile(r"\[([a-z_]+)\]")

WORDS: dict[str, tuple[str, ...]] = {
    "coverage": ("coverage", "underdose", "underdosed", "cold spot", "ptv", "ctv", "target too cold"),
    "hot_spot": ("hot spot", "hotspot", "hot spots", "overdose", "maximum dose"),
    "conformity": ("conformity", "conformal", "spill", "dose outside", "low dose bath"),
    "homogeneity": ("homogeneity", "homogeneous", "inhomogeneous", "heterogeneous"),
    "monitor_units": ("monitor units", "too many mu"),
    "time": ("delivery time", "too long", "beam time"),
    "complexity": ("complexity", "too complex", "modulation", "small apertures"),
    "scheduled": ("scheduled", "no gain", "no benefit"),
    "nerve": ("cord", "spinal cord", "myelon", "brainstem", "brain stem", "chiasm", "optic nerve", "plexus"),
    "sense": ("brain", "eye", "lens", "cochlea", "hippocampus", "lacrimal"),
    "gland": ("parotid", "parotids", "submandibular", "salivary", "thyroid", "gland", "glands"),
    "swallow": ("larynx", "pharynx", "constrictor", "constrictors", "esophagus", "oesophagus", "oral cavity", "mouth"),
    "bone": ("mandible", "femoral head", "femoral heads", "femur", "chest wall", "ribs", "skin", "bone"),
    "lung": ("lung", "lungs"),
    "heart": ("heart",),
    "bowel": ("rectum", "bowel", "sigmoid", "stomach", "duodenum", "anal canal"),
    "bladder": ("bladder", "penile bulb"),
    "abdomen": ("liver", "kidney", "kidneys", "spleen", "pancreas"),
}
"""Words chosen; matched whole, without regard to case. Names as in TG-263 are found by their beginning besides."""


_PHRASES = tuple((phrase, code) for code, phrases in WORDS.items() for phrase in phrases)

PRAISE = ("ok", "okay", "fine", "good", "acceptable", "no problem", "no issue", "unchanged")
"""A clause that holds one of these is no complaint. Chosen."""


def reasons_in(text: str) -> tuple[str, ...]:
    """Codes in what a physician typed, each once, in the order of the catalogue; explicit codes alone where there are
    any. 'cord' in 'record' is no reason, nor is it in 'cord ok'."""
    explicit = {code for code in _EXPLICIT.findall(text.lower()) if code in CODES}
    if explicit:
        return tuple(code for code in CODES if code in explicit)
    found: set[str] = set()
    for clause in re.split(r"[,;.:\n]|\bbut\b", text):
        words = re.findall(r"[A-Za-z_]+", clause)
        if not any(f" {praise} " in _padded(words) for praise in PRAISE):
            found |= _by_word(words) | _by_name(words)
    return tuple(code for code in CODES if code in found)


def _padded(words: list[str]) -> str:
    return f" {' '.join(words).lower().replace('_', ' ')} "


def _by_word(words: list[str]) -> set[str]:
    """Longest first, and what was found is taken away: 'brain stem' is no brain."""
    left, found = _padded(words), set()
    for phrase, code in sorted(_PHRASES, key=lambda entry: -len(entry[0])):
        if f" {phrase} " in left:
            left = left.replace(f" {phrase} ", " ")
            found.add(code)
    return found


def _by_name(words: list[str]) -> set[str]:
    """TG-263 names as such, capitals and all."""
    starts = [(start, name) for name, group in CLASSES.items() for start in group.starts]
    best = [max(((len(s), name) for s, name in starts if word.startswith(s)), default=(0, "")) for word in words]
    exact = [name for (_, name), word in zip(best, words, strict=True) if name and not word.islower()]
    return set(exact)
