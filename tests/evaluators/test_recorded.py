"""Scores recorded in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oracle.evaluators.evaluation import EvaluatorError
from oracle.evaluators.recorded import RecordedScores
from oracle.evaluators.workload import Item

UNUSABLE = {
    "no score column": ("a.csv", "id,node\ni,n\n", "row 1 has no id, node and score in"),
    "a score above one": ("a.csv", "id,node,score\ni,n,1.5\n", "row 1 has no id, node and score"),
    "a score of nan": ("a.csv", "id,node,score\ni,n,nan\n", "row 1 has no id, node and score"),
    "a score in words": ("a.csv", "id,node,score\ni,n,good\n", "row 1 has no id, node and score"),
    "a short row": ("a.csv", "id,node,score\ni,n,1\nj\n", "row 2 has no id, node and score"),
    "a score given twice": (
        "a.csv",
        "id,node,score\ni,n,1\ni,n,1\n",
        "row 2 scores ('i', 'n') a second time",
    ),
    "bad JSON": ("a.json", "[", "is neither CSV nor JSON"),
    "a JSON object": ("a.json", "{}", "is a JSON dict, expected a list"),
    "a JSON list of lists": ("a.json", "[[]]", "row 1 has no id, node and score"),
    "a truth value": (
        "a.json",
        '[{"id": "i", "node": "n", "score": true}]',
        "row 1 has no id, node and score",
    ),
    "a huge integer": (
        "a.json",
        '[{"id": "i", "node": "n", "score": 1' + "0" * 400 + "}]",
        "row 1 has no id, node and score",
    ),
}


@pytest.mark.parametrize(("name", "text", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_file_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluatorError) as caught:
        RecordedScores(tmp_path / name)
    assert str(caught.value).startswith(f"recorded:{name} ")
    assert reason in str(caught.value)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError, match="No such file"):
        RecordedScores(tmp_path / "absent.csv")


def test_an_item_that_was_not_recorded_is_refused(
    tmp_path: Path, pair: Callable[[str, str], Item]
) -> None:
    path = tmp_path / "some.csv"
    path.write_text("id,node,score\ni,another,1\n")
    with pytest.raises(EvaluatorError, match="no score for item 'i' of node 'n'"):
        RecordedScores(path).score([pair("", "")])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'id,node,score\nj,n,0\n"i","n",0.25\n'),
        ("a.json", '[{"id": "i", "node": "n", "score": 0.25}]'),
    ],
)
def test_the_recorded_score_is_found_by_id_and_node(
    tmp_path: Path, pair: Callable[[str, str], Item], name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    assert RecordedScores(tmp_path / name).score([pair("", "")]).tolist() == [0.25]
