"""Today's anatomy: from the image of the day and the reference case to contours and a density map of today."""

from appliance.case.today.anatomy import find_anatomy
from appliance.case.today.contours import contour_desk
from appliance.case.today.review import why_confirm
from appliance.case.today.writing import write_edited

__all__ = ["contour_desk", "find_anatomy", "why_confirm", "write_edited"]
