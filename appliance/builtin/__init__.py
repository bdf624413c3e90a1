"""Studies without a patient: the AAPM TG-119 cases made by code, and OpenKBP's packed cases made into DICOM."""

from appliance.builtin.cases import CASES, BuiltinCase
from appliance.builtin.openkbp import import_openkbp
from appliance.builtin.study import BuiltinStudy, write_study

__all__ = ["CASES", "BuiltinCase", "BuiltinStudy", "import_openkbp", "write_study"]
