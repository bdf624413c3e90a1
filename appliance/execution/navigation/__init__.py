"""Trade-off navigation: a few plans around the result, answers by interpolation, and plans made of those."""

from appliance.execution.navigation.anchors import trade_off_set
from appliance.execution.navigation.navigator import Navigator
from appliance.execution.navigation.realise import Realised, agreed_goals, realise
from appliance.execution.navigation.taking import Trader, agreed_in
from appliance.execution.navigation.wishes import parse_wish

__all__ = [
    "Navigator",
    "Realised",
    "Trader",
    "agreed_goals",
    "agreed_in",
    "parse_wish",
    "realise",
    "trade_off_set",
]
