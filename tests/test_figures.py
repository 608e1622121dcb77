"""What becomes of the figures that tests measure: merged by test, and only when asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.figures import HEAD, Figure, Row, exists, merged, row_of, rows_in, table

MEASURES = """
import pytest

FIGURE = {"name": "things | counted", "value": "200", "goal": 200, "seed": 7}

@pytest.mark.reliability
@pytest.mark.parametrize("part", ["a|b", "c"])
def test_long(record_property, part):
    record_property("figure", FIGURE)
    record_property("figure", {"name": "of part " + part, "value": 1, "goal": "≥ 1"})

def test_short(record_property):
    record_property("figure", {"name": "short", "value": "0", "goal": "0"})
"""
OPTIONS = ["-p", "tests.figures", "-p", "no:cacheprovider", "-q", "--figures", "FIGURES.md"]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Make a directory with three tests that measure."""
    pytester.makeini("[pytest]\nmarkers = reliability: long\n")
    pytester.makepyfile(test_it=MEASURES)
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> list[Row]:
    suite.runpytest_inprocess(*OPTIONS, *arguments)
    return rows_in((suite.path / "FIGURES.md").read_text(encoding="utf-8"))


def row(test: str = "test_it.py::test_long[c]", name: str = "things", value: int = 1) -> Row:
    return row_of(test, True, Figure(name, value, 1, 7), "abc", "2026-01-01 00:00")


def test_a_table_gives_back_its_rows() -> None:
    rows = [row(), row(test="test_it.py::test_long[a|b]", name="a | b")]
    assert rows_in(table(rows)) == rows
    assert rows_in(HEAD) == []


def test_each_row_says_how_to_measure_it_again(suite: pytest.Pytester) -> None:
    cells = [row.cells for row in run(suite)]
    assert [cell[:3] for cell in cells] == [
        ("of part a|b", "1", "≥ 1"),
        ("things | counted", "200", "200"),
        ("of part c", "1", "≥ 1"),
        ("things | counted", "200", "200"),
        ("short", "0", "0"),
    ]
    assert cells[0][3] == "`pytest -m reliability 'test_it.py::test_long[a|b]'`"
    assert cells[4][3] == "`pytest 'test_it.py::test_short'`"
    assert [cell[4] for cell in cells] == ["–", "7", "–", "7", "–"]


def test_the_workers_of_a_run_make_one_table(suite: pytest.Pytester) -> None:
    suite.runpytest_subprocess(*OPTIONS, "-p", "xdist", "-n", "2")
    assert len(rows_in((suite.path / "FIGURES.md").read_text(encoding="utf-8"))) == 5


def test_a_test_that_runs_again_replaces_its_rows_only(suite: pytest.Pytester) -> None:
    before = run(suite)
    suite.makepyfile(test_it=MEASURES.replace('"200"', '"300"').replace("of part", "for"))
    after = run(suite, "test_it.py::test_long[c]")
    assert after[:2] == before[:2] and after[4] == before[4]
    assert [row.cells[:2] for row in after[2:4]] == [("for c", "1"), ("things | counted", "300")]


def test_a_test_that_fails_loses_its_rows(suite: pytest.Pytester) -> None:
    run(suite)
    suite.makepyfile(test_it=MEASURES + "    assert False\n")
    assert [row.test for row in run(suite)] == ["test_it.py::test_long[a|b]"] * 2 + [
        "test_it.py::test_long[c]"
    ] * 2


def test_a_test_that_is_skipped_keeps_its_rows(suite: pytest.Pytester) -> None:
    before = run(suite)
    suite.makepyfile(test_it=MEASURES + "    pytest.skip()\n")
    assert run(suite, "-k", "short") == before


def test_rows_of_tests_that_are_gone_go(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_long(part):\n    pass\n")
    others = [row(test="test_it.py::test_longer"), row(test="test_that.py::test_long")]
    assert merged([row(), *others], [], [], tmp_path) == [row()]
    assert not exists("test_it.py::test_lon", tmp_path)


def test_nothing_is_written_unless_asked_for(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess(*OPTIONS[:-2])
    assert not (suite.path / "FIGURES.md").exists()


def test_a_figure_of_another_shape_is_refused(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_it="def test_it(record_property): record_property('figure', {'nam': 1})")
    ran = suite.runpytest_inprocess(*OPTIONS)
    assert ran.ret == pytest.ExitCode.INTERNAL_ERROR
