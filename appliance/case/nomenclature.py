"""What a structure is called inside: AAPM TG-263 names, found by a table of synonyms and a rule for target doses."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from appliance.contracts import StructureKind
from appliance.errors import ModelError

TABLE = "tg263.toml"

_IGNORED = re.compile(r"[\s_.\-]+")
# TG-263 target types, with their classifiers (nodal, primary, surgical bed, parenchymal, venous, vascular)
_TARGET = re.compile(r"^(?:PTV|CTV|GTV|ITV|IGTV|ICTV)(?:n|p|sb|par|v|vas|s)?(?:$|(?=[\W_\d]))", re.IGNORECASE)
_TARGET_DOSE = re.compile(
    r"^(?P<kind>PTV|CTV|GTV|ITV)[\s_\-]*(?P<dose>\d{2}(?:[.,]\d{1,2})?|\d{4})[\s_]*(?P<unit>c?Gy)?$", re.IGNORECASE
)

LOWEST_TARGET_GY = 20.0
HIGHEST_TARGET_GY = 90.0
"""A number in a target's name is a dose of the course between these; chosen, because smaller numbers count targets
("PTV 12") and no course of external beams prescribes more."""

_NOT_A_TARGET_TYPE = frozenset({"CONTROL", "AVOIDANCE", "IRRAD_VOLUME", "DOSE_REGION", "BOLUS", "SUPPORT", "EXTERNAL"})
_TYPES = MappingProxyType(
    {
        "EXTERNAL": StructureKind.EXTERNAL,
        "PTV": StructureKind.TARGET,
        "CTV": StructureKind.TARGET,
        "GTV": StructureKind.TARGET,
        # the defined term left for targets that are none of the three, such as an ITV
        "TREATED_VOLUME": StructureKind.TARGET,
        "ORGAN": StructureKind.ORGAN,
        "AVOIDANCE": StructureKind.ORGAN,
        "CAVITY": StructureKind.ORGAN,
        "SUPPORT": StructureKind.SUPPORT,
        "FIXATION": StructureKind.SUPPORT,
    }
)
"""RT ROI Interpreted Type (3006,00A4), PS3.3 C.8.8.8.1. Types not named here are OTHER."""


@dataclass(frozen=True)
class KnownName:
    tg263: str
    kind: StructureKind


def folded(name: str) -> str:
    """Letter case, spaces, hyphens, dots and underscores make no difference between names."""
    return _IGNORED.sub("", name).casefold()


@cache
def known_names() -> Mapping[str, KnownName]:
    """Folded name -> TG-263 name and kind. Raises ModelError if the table is missing, malformed or says two things of
    one name."""
    try:
        table = tomllib.loads(resources.files("models").joinpath("nomenclature", TABLE).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"the table of structure names {TABLE} cannot be read; install Couchside again") from error
    names: dict[str, KnownName] = {}
    for section, entries in table.items():
        if section == "source":
            continue
        for tg263, synonyms in entries.items():
            known = KnownName(tg263, StructureKind(section))
            for name in {folded(name) for name in (tg263, *synonyms)}:
                if name in names:
                    raise ModelError(f"{TABLE} maps '{name}' to {names[name].tg263} and to {tg263}")
                names[name] = known
    return MappingProxyType(names)


def lookup(name: str) -> KnownName | None:
    """The TG-263 name of a structure, None if the table does not know it.

    Targets with a dose: PTV70, "ptv 70 Gy", CTV-54.12 and PTV_7000 become PTV_7000 and so on, dose in cGy as TG-263
    recommends."""
    known = known_names().get(folded(name))
    if known is not None:
        return known
    match = _TARGET_DOSE.match(name.strip())
    if match is None:
        return None
    number = float(match["dose"].replace(",", "."))
    in_cgy = len(match["dose"]) == 4 and "." not in match["dose"] and "," not in match["dose"]
    dose_gy = number / 100.0 if in_cgy else number
    if not LOWEST_TARGET_GY <= dose_gy <= HIGHEST_TARGET_GY or (in_cgy and (match["unit"] or "cGy").lower() == "gy"):
        return None
    return KnownName(f"{match['kind'].upper()}_{round(dose_gy * 100):04d}", StructureKind.TARGET)


def kind_of(name: str, interpreted_type: str) -> StructureKind:
    """DICOM type first; the name where the type is empty or says no more than that it is some volume.

    A name that is or begins with a target type of TG-263 (PTV, CTV, GTVn and so on) is a target unless the type says
    otherwise, so that a ring made of a PTV (CONTROL) is none."""
    by_type = _TYPES.get(interpreted_type)
    if by_type in (StructureKind.EXTERNAL, StructureKind.TARGET, StructureKind.SUPPORT):
        return by_type
    known = lookup(name)
    if interpreted_type not in _NOT_A_TARGET_TYPE and (_TARGET.match(name.strip()) or _is(known, StructureKind.TARGET)):
        return StructureKind.TARGET
    if by_type is StructureKind.ORGAN and not _is(known, StructureKind.EXTERNAL):
        return by_type
    if known is not None and interpreted_type in ("", "ORGAN"):
        return known.kind
    return StructureKind.OTHER


def _is(known: KnownName | None, kind: StructureKind) -> bool:
    return known is not None and known.kind is kind
