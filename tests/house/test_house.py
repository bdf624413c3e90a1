"""The house rules hold on this tree, and each rule finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_house import RULES
from tools.house import (
    config_keys,
    error_keys,
    functions,
    paths,
    readme,
    sizes,
    weights,
    words,
)
from tools.house.report import Report

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def product_file(tmp_path: Path):
    """Writes one product file into an otherwise empty tree; returns the tree."""

    def write(text: str, name: str = "appliance/part.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return tmp_path

    return write


def broken(rule, root: Path) -> list[str]:
    report = Report()
    rule.check(root, report)
    return report.broken


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.rsplit(".", 1)[-1])
def test_this_tree_keeps_the_rule(rule):
    assert broken(rule, ROOT) == []


def test_a_file_over_600_lines_is_refused_even_with_a_reason(product_file):
    assert "600 is the limit" in broken(sizes, product_file("# Over 400 lines because\n" + "x = 1\n" * 600))[0]


def test_a_file_over_400_lines_needs_its_reason_at_the_top(product_file):
    assert "says at its top why" in broken(sizes, product_file("x = 1\n" * 401))[0]
    assert broken(sizes, product_file("# Over 400 lines because it is one table.\n" + "x = 1\n" * 400)) == []


def test_the_session_stays_on_its_page(product_file):
    assert "no longer one page" in broken(sizes, product_file("x = 1\n" * 251, "appliance/session.py"))[0]


def test_a_body_of_61_lines_is_refused_and_its_docstring_does_not_count(product_file):
    body = '    """' + "text\n" * 30 + '    """\n'
    assert broken(functions, product_file("def f():\n" + body + "    x = 1\n" * 60)) == []
    assert "body of 61 lines" in broken(functions, product_file("def f():\n" + body + "    x = 1\n" * 61))[0]


@pytest.mark.parametrize("line", ["# TO" + "DO later", "x = 1  # FIX" + "ME", "assert x", "print(1)"])
def test_unfinished_and_unfit_lines_are_refused(product_file, line):
    assert len(broken(words, product_file(f"x = 1\n{line}\n"))) == 1


@pytest.mark.parametrize("path", ["/ho" + "me/someone/file", "/wo" + "rk/main", "/Us" + "ers/x", "'/t" + "mp/fixed'"])
def test_paths_of_one_machine_are_refused(product_file, path):
    assert len(broken(paths, product_file(f'FILE = "{path}"\n' if "'" not in path else f"FILE = {path}\n"))) == 1


def test_relative_paths_and_addresses_are_no_machine_paths(product_file):
    assert broken(paths, product_file('A = "models/home/x"\nB = "https://example.org/work/x"\nC = "../root/x"\n')) == []


def test_weights_over_30_mb_are_refused(product_file):
    root = product_file("", "models/network.onnx")
    with (root / "models/network.onnx").open("wb") as file:
        file.truncate(31_000_000)
    assert "30 MB is the limit" in broken(weights, root)[0]


def test_an_example_with_a_missing_an_unknown_and_a_changed_key_is_refused(tmp_path):
    text = (ROOT / config_keys.EXAMPLE).read_text("utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / config_keys.EXAMPLE).write_text(text.replace("port = 11112\n", ""), "utf-8")
    assert broken(config_keys, tmp_path) == [f"{config_keys.EXAMPLE} does not name 'node.port'"]
    (tmp_path / config_keys.EXAMPLE).write_text(text.replace("port = 11112", "port = 104"), "utf-8")
    assert broken(config_keys, tmp_path) == [f"{config_keys.EXAMPLE}: node.port is 104, the default 11112"]


def test_a_document_of_other_errors_is_refused(tmp_path):
    (tmp_path / "docs").mkdir()
    error_keys.write(tmp_path)
    assert broken(error_keys, tmp_path) == []
    document = tmp_path / error_keys.DOCUMENT
    document.write_text(document.read_text("utf-8").replace("`config` | 3", "`config` | 4"), "utf-8")
    assert "--write" in broken(error_keys, tmp_path)[0]


def test_commands_are_read_from_shell_blocks_only():
    text = "couchside nothing\n```sh\n$ ./build.sh demo \\\n  --case x  # comment\n```\n```\ncouchside other\n```\n"
    assert list(readme.commands_in(text)) == [["./build.sh", "demo", "--case", "x"]]
