"""The security page claims nothing without a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

from tests.figures import exists

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SPECIFICATION = ROOT / "tests" / "ethtrust_v3.txt"
TESTS = re.compile(r"`(test_[a-z0-9_]+)`")
DEFINED = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
FILES = re.compile(r"`(tests/[\w/]+\.py)`")
ROW = re.compile(r"^\| (\[[SMQ]\] [^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", re.MULTILINE)
REQUIREMENT = re.compile(r"^\| (R\d+) \| ([^|]+?) \| (.+?) \|$", re.MULTILINE)


def homes() -> dict[str, list[Path]]:
    """Return the files that each test function of the suite is in, by its name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in DEFINED.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, []).append(path)
    return found


def test_every_test_that_the_page_names_exists() -> None:
    known = homes()
    assert len(TESTS.findall(PAGE)) > 80
    assert [name for name in TESTS.findall(PAGE) if name not in known] == []
    assert [path for path in FILES.findall(PAGE) if not (ROOT / path).is_file()] == []
    assert not exists("tests/test_security_page.py::test_that_is_not_there", ROOT)


def test_every_requirement_of_the_mechanism_is_held_by_tests_of_its_number() -> None:
    rows = REQUIREMENT.findall(PAGE)
    assert list(dict.fromkeys(number for number, _, _ in rows)) == [f"R{i}" for i in range(1, 18)]
    for number, case, held in rows:
        prefix = f"test_r{int(number[1:]):02}_"
        names = TESTS.findall(held)
        assert names, case
        assert [name for name in names if not re.match(r"test_(r\d\d_)+|test_limit_", name)] == []
        assert any(prefix[5:] in name for name in names), (number, case)


def test_every_requirement_of_ethtrust_is_on_the_page_once_and_no_other() -> None:
    wanted = SPECIFICATION.read_text(encoding="utf-8").splitlines()
    assert [name.replace("`", "") for name, _, _ in ROW.findall(PAGE)] == wanted


def test_a_requirement_passes_by_a_named_test_or_says_why_not() -> None:
    for name, verdict, reason in ROW.findall(PAGE):
        kind = verdict.split(" ")[0].rstrip(":")
        assert kind in {"passes", "n/a", "partly"}, name
        if kind == "passes":
            assert TESTS.search(reason) or "docs/" in reason or "above" in reason, name
        else:
            assert len(reason) > 20, name
