import re
from pathlib import Path

from appliance.case.today.rules import RULES, finding, refusal
from appliance.contracts import Outcome, Severity

DOCS = Path(__file__).parents[3] / "docs" / "today.md"


def test_the_table_of_the_documentation_is_that_of_the_code():
    rows = re.findall(r"^\| `(day\.[a-z-]+)` \| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", DOCS.read_text("utf-8"), re.M)
    severity = {Severity.STOP: "refused", Severity.WARN: "flagged", Severity.INFO: "said"}
    assert rows == [(name, rule.title, severity[rule.severity], rule.remedy) for name, rule in RULES.items()]


def test_every_rule_in_the_code_is_one_of_the_table():
    folder = Path(__file__).parents[3] / "appliance" / "case" / "today"
    used = {name for path in folder.glob("*.py") for name in re.findall(r'"(day\.[a-z-]+)"', path.read_text("utf-8"))}
    assert used == set(RULES)


def test_a_finding_says_what_to_do_only_where_something_was_found():
    assert finding("day.metal", "One piece").evidence.startswith("One piece. Check the contours")
    assert finding("day.metal", "None", Outcome.PASSED).evidence == "None"
    assert str(refusal("day.same-image", "it is the same")) == (
        "Today's image cannot be used: it is the same. Send the image that was taken today"
    )
