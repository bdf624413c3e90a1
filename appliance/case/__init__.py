"""Reading: DICOM objects to today's case. Everything that enters is turned into one frame and checked here."""

from appliance.case.assemble import assemble
from appliance.case.dose import read_dose
from appliance.case.image import ImageSeries, read_image
from appliance.case.plan import read_plan
from appliance.case.structure_set import StructureReading, read_structures

__all__ = ["ImageSeries", "StructureReading", "assemble", "read_dose", "read_image", "read_plan", "read_structures"]
