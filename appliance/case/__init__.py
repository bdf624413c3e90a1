"""Reading: DICOM objects to today's case. Everything that enters is turned into one frame and checked here."""

from appliance.case.assemble import assemble, check_one_person
from appliance.case.deformable_registration import DeformableReading, read_deformable
from appliance.case.dose import check_of_one_plan, read_accumulated_dose, read_dose
from appliance.case.fraction import read_fraction
from appliance.case.image import ImageSeries, read_image
from appliance.case.plan import PlanReading, read_plan, read_plan_file
from appliance.case.prior import read_prior
from appliance.case.spatial_registration import read_registration
from appliance.case.structure_set import StructureReading, read_structures

__all__ = [
    "DeformableReading",
    "ImageSeries",
    "PlanReading",
    "StructureReading",
    "assemble",
    "check_of_one_plan",
    "check_one_person",
    "read_accumulated_dose",
    "read_deformable",
    "read_dose",
    "read_fraction",
    "read_image",
    "read_plan",
    "read_plan_file",
    "read_prior",
    "read_registration",
    "read_structures",
]
