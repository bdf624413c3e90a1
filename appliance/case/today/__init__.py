"""Today's anatomy: from the image of the day and the reference case to contours and a density map of today."""

from appliance.case.today.anatomy import find_anatomy
from appliance.case.today.review import why_confirm

__all__ = ["find_anatomy", "why_confirm"]
