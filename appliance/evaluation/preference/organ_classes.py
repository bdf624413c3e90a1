"""Organs are learned about by class, so that a model is not tied to one site's list of names.

Names begin as in AAPM TG-263 (Mayo et al., Int J Radiat Oncol Biol Phys 100:1057, 2018). The classes are chosen: organs
of one class are traded against the target in the same way (a serial organ by its hottest part, a gland by its mean).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class OrganClass:
    """words: for people. excess: the part of a limit that is one unit of going over it: less for organs judged by
    their hottest part, where 5 % over is grave, than for those judged by their mean, which are often far over. Chosen.
    starts: how the names begin."""

    words: str
    excess: float
    starts: tuple[str, ...]


TARGET = "target"
OTHER = "other"

CLASSES: MappingProxyType[str, OrganClass] = MappingProxyType(
    {
        "nerve": OrganClass(
            "cord, brainstem, optic nerves and plexus",
            0.05,
            (
                "SpinalCord",
                "SpinalCanal",
                "Brainstem",
                "OpticNrv",
                "OpticChiasm",
                "BrachialPlex",
                "SacralPlex",
                "LumbSacPlex",
                "CaudaEquina",
            ),
        ),
        "sense": OrganClass(
            "brain, eyes and inner ears",
            0.1,
            ("Brain", "Hippocampus", "Pituitary", "Cochlea", "Eye", "Lens", "Retina", "Cornea", "Glnd_Lacrimal"),
        ),
        "gland": OrganClass("salivary glands and thyroid", 0.2, ("Parotid", "Glnd_Submand", "Glnd_Thyroid")),
        "swallow": OrganClass(
            "larynx, pharynx, oesophagus and mouth",
            0.2,
            (
                "Larynx",
                "Glottis",
                "Pharynx",
                "Musc_Constrict",
                "Esophagus",
                "Cavity_Oral",
                "Lips",
                "Trachea",
                "Bronchus",
            ),
        ),
        "bone": OrganClass(
            "bones, chest wall and skin", 0.05, ("Bone", "Femur", "Mandible", "Rib", "Chestwall", "Skin")
        ),
        "lung": OrganClass("lungs", 0.2, ("Lung",)),
        "heart": OrganClass("heart and great vessels", 0.2, ("Heart", "A_LAD", "GreatVes", "Pericardium")),
        "bowel": OrganClass(
            "rectum, bowel, stomach and duodenum",
            0.1,
            ("Rectum", "Anus", "Bowel", "Bag_Bowel", "Colon", "Spc_Bowel", "Stomach", "Duodenum"),
        ),
        "bladder": OrganClass("bladder and genital organs", 0.1, ("Bladder", "PenileBulb", "Genitals", "Urethra")),
        "abdomen": OrganClass(
            "liver, kidneys, spleen and pancreas", 0.2, ("Liver", "Kidney", "Spleen", "Pancreas", "BileDuct")
        ),
        OTHER: OrganClass("other organs", 0.1, ()),
    }
)
"""By name. Of several beginnings that fit, the longest decides."""

_TARGETS = ("PTV", "CTV", "GTV", "ITV")


def class_of(structure: str) -> str:
    """'target', or a class of organs; of several joined by '+', the first decides."""
    first = structure.split("+", maxsplit=1)[0]
    if first.upper().startswith(_TARGETS):
        return TARGET
    fitting = [
        (len(start), name) for name, group in CLASSES.items() for start in group.starts if first.startswith(start)
    ]
    return max(fitting)[1] if fitting else OTHER
