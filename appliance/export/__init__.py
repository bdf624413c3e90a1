"""The way out: write an approved plan as DICOM, read it back, send it. Nothing leaves without an approval."""

from appliance.export.contours_page import write_contours_page
from appliance.export.read_back import read_back
from appliance.export.second_dose import write_second_dose
from appliance.export.sending import send
from appliance.export.writing import write_export_set, write_unapproved_set

__all__ = [
    "read_back",
    "send",
    "write_contours_page",
    "write_export_set",
    "write_second_dose",
    "write_unapproved_set",
]
