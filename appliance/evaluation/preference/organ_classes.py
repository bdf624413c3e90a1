"""Organs are learned about by class, so that a model is not tied to one site's list of names.

Names begin as in AAPM TG-263 (Mayo et al., Int J Radiat Oncol Biol Phys 100:1057, 2018). The classes are chosen: organs
of one class are traded against the target in the same way (a serial organ by its hottest part, a gland by its mean).
"""

from __future__ import annotations

from types import MappingProxyType

TARGET = "target"
OTHER = "other"

CLASSES: MappingProxyType[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "nerve": (
            "cord, brainstem, optic nerves and plexus",
            ("SpinalCord", "SpinalCanal", "Brainstem", "OpticNrv", "OpticChiasm", "BrachialPlex", "SacralPlex",
             "LumbSacPlex", "CaudaEquina"),
        ),
        "sense": (
            "brain, eyes and inner ears",
            ("Brain", "Hippocampus", "Pituitary", "Cochlea", "Eye", "Lens", "Retina", "Cornea", "Glnd_Lacrimal"),
        ),
        "gland": ("salivary glands and thyroid", ("Parotid", "Glnd_Submand", "Glnd_Thyroid")),
        "swallow": (
            "larynx, pharynx, oesophagus and mouth",
            ("Larynx", "Glottis", "Pharynx", "Musc_Constrict", "Esophagus", "Cavity_Oral", "Lips", "Trachea",
             "Bronchus"),
        ),
        "bone": ("bones, chest wall and skin", ("Bone", "Femur", "Mandible", "Rib", "Chestwall", "Skin")),
        "lung": ("lungs", ("Lung",)),
        "heart": ("heart and great vessels", ("Heart", "A_LAD", "GreatVes", "Pericardium")),
        "bowel": (
            "rectum, bowel, stomach and duodenum",
            ("Rectum", "Anus", "Bowel", "Bag_Bowel", "Colon", "Spc_Bowel", "Stomach", "Duodenum"),
        ),
        "bladder": ("bladder and genital organs", ("Bladder", "PenileBulb", "Genitals", "Urethra")),
        "abdomen": ("liver, kidneys, spleen and pancreas", ("Liver", "Kidney", "Spleen", "Pancreas", "BileDuct")),
        OTHER: ("other organs", ()),
    }
)  # fmt: skip
"""class -> (in words, beginnings of the names). The longest beginning decides."""

_TARGETS = ("PTV", "CTV", "GTV", "ITV")


def class_of(structure: str) -> str:
    """'target', or a class of organs; of several joined by '+', the first decides."""
    first = structure.split("+", maxsplit=1)[0]
    if first.upper().startswith(_TARGETS):
        return TARGET
    fitting = [
        (len(start), name) for name, (_, starts) in CLASSES.items() for start in starts if first.startswith(start)
    ]
    return max(fitting)[1] if fitting else OTHER
