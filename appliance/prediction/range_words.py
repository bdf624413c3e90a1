"""How a fact of an anatomy is called in a sentence, and what to do when it is unusual."""

from __future__ import annotations

from dataclasses import dataclass

ORGANS = {
    "Brainstem": "the brainstem", "SpinalCord": "the spinal cord", "Parotid_R": "the right parotid",
    "Parotid_L": "the left parotid", "Esophagus": "the oesophagus", "Larynx": "the larynx",
    "Bone_Mandible": "the mandible", "body": "the region where dose is possible", "targets": "all targets together",
    "highest": "the target of the highest prescription",
}  # fmt: skip
AXES = {"x": "from right to left", "y": "from front to back", "z": "along the body"}
CONTOUR = "Check its contour."
EXTERNAL = "Check the external contour and where the image ends."
CT = "Check the external contour, and whether the CT is in Hounsfield units."
GROUPS = {
    "organs": ("Sizes and places of organs and targets", "Check these contours and their names."),
    "outline": ("Outline of the patient and targets in it", "Check the external contour and the targets."),
    "ct": ("CT numbers", CT),
}
"""What facts that are judged together are called, and what to do."""


@dataclass(frozen=True)
class Words:
    """What is measured, its unit ("%" for shares), the remedy, and whether a value far beyond all patients means that a
    contour cannot be right."""

    what: str
    unit: str
    remedy: str
    contour: bool = False

    def value(self, number: float) -> str:
        if self.unit == "%":
            return f"{100 * number:.1f} %"
        digits = 1 if abs(number) < 10 else 0
        return f"{number:.{digits}f} {self.unit}".rstrip()


SPECIAL = {
    "targets.outside_share": Words("The share of the targets that lies where no dose is possible", "%", EXTERNAL),
    "targets.body_share": Words("The share of the region where dose is possible that is target", "%", EXTERNAL),
    "targets.surface_share": Words("The share of the targets in the outermost layer of the patient", "%", EXTERNAL),
    "ct.air_share": Words("The share of air and lung where dose is possible", "%", CT),
    "ct.empty_share": Words("The share of empty air where dose is possible", "%", CT),
    "ct.bone_share": Words("The share of bone where dose is possible", "%", CT),
    "ct.target_air_share": Words("The share of air in the targets", "%", "Check where the targets reach into air."),
    "ct.soft_share": Words("The share of soft tissue where dose is possible", "%", CT),
    "ct.soft_median_hu": Words("The median CT number of soft tissue", "HU", CT),
    "ct.soft_spread_hu": Words("The spread of CT numbers in soft tissue", "HU", CT),
}


def words(name: str) -> Words:
    """For a fact by its name."""
    if name in SPECIAL:
        return SPECIAL[name]
    subject, measure = name.split(".", 1)
    who = ORGANS.get(subject, subject)
    remedy = EXTERNAL if subject == "body" else CONTOUR
    organ = subject != "body"
    if measure == "volume_cc":
        return Words(f"The volume of {who}", "cm3", remedy, organ)
    if measure == "raggedness":
        return Words(f"The surface of {who} relative to a cube of its volume", "", "Look for broken contours.")
    if measure == "in_target_share":
        return Words(f"The share of {who} that lies in targets", "%", "Check both contours.")
    if measure.startswith("length"):
        return Words(f"The length of {who} {AXES[measure.split('_')[1]]}", "mm", remedy, organ)
    axis = AXES[measure.rsplit("_", 2)[1]]
    if measure.startswith("body_offset"):
        return Words(f"The place of {who} in the region where dose is possible {axis}", "mm", EXTERNAL)
    return Words(f"The place of {who} relative to the targets {axis}", "mm", CONTOUR, organ)
