"""Tables of recorded scores: who sits on panels, which items count, what calibrates whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from oracle.core.units import ONE
from oracle.study.datasets import DatasetError, calibrated, load, raw, split
from tests.study.tables import DATA, Row, write_table


def complete(items: int = 40, evaluators: Sequence[str] = ("a", "b")) -> list[Row]:
    return [
        Row(f"q{i // 2}|s{i % 2}", f"s{i % 2}", name, (i * 7 % 11) / 10, (i % 5) / 4)
        for i in range(items)
        for name in evaluators
    ]


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for content in ("", "a,b\n1,2\n"):
        path.write_text(content)
        with pytest.raises(DatasetError):
            load(path)
    with pytest.raises(DatasetError):
        load(tmp_path / "absent.csv")


def test_a_table_of_experts_alone_leaves_no_panel(tmp_path: Path) -> None:
    rows = [row._replace(kind="human_expert") for row in complete()]
    with pytest.raises(DatasetError, match="no scores of evaluators"):
        load(write_table(tmp_path, rows))


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_beyond_the_scale_is_refused(tmp_path: Path, score: float) -> None:
    rows = complete()
    rows[3] = rows[3]._replace(score=score)
    with pytest.raises(DatasetError, match=r"not in \[0, 1\]"):
        load(write_table(tmp_path, rows))


def test_an_item_with_two_references_is_refused(tmp_path: Path) -> None:
    rows = complete()
    rows += [row._replace(reference=0.123) for row in rows[:2]]
    with pytest.raises(DatasetError):
        load(write_table(tmp_path, rows))


def test_experts_and_those_who_scored_little_are_left_out(tmp_path: Path) -> None:
    rows = complete()
    rows += [row._replace(evaluator="expert", kind="human_expert") for row in rows[::2]]
    rows += [row._replace(evaluator="seldom") for row in rows[:20:2]]
    assert load(write_table(tmp_path, rows)).evaluators == ("a", "b")


def test_items_that_somebody_did_not_score_are_left_out(tmp_path: Path) -> None:
    rows = complete()
    missing = rows.pop(13)
    dataset = load(write_table(tmp_path, rows))
    assert missing.item not in dataset.items
    assert dataset.scores.shape == (2, 39)
    for row in rows:
        if row.item != missing.item:
            at = dataset.evaluators.index(row.evaluator), dataset.items.index(row.item)
            assert dataset.scores[at] == row.score
            assert dataset.reference[at[1]] == row.reference
            assert dataset.system_names[dataset.systems[at[1]]] == row.system


def test_the_workers_of_a_sparse_set_share_seats_those_with_most_ratings_first(
    tmp_path: Path,
) -> None:
    rows = [
        Row(f"i{i:02}", "site", f"w{(i + j) % 12:02}", j / 10, 0.5)
        for i in range(24)
        for j in range(4)
    ]
    rows += [Row("i00", "site", "w11", 0.9, 0.5), Row("few", "site", "w00", 1.0, 0.5)]
    dataset = load(write_table(tmp_path, rows), slots=3)
    assert dataset.evaluators == ("slot 00", "slot 01", "slot 02")
    assert "few" not in dataset.items
    ratings = {w: sum(row.evaluator == w for row in rows) for w in {row.evaluator for row in rows}}
    for item, column in zip(dataset.items, dataset.scores.T, strict=True):
        here = [row for row in rows if row.item == item]
        here.sort(key=lambda row: (-ratings[row.evaluator], row.evaluator))
        assert column.tolist() == [row.score for row in here[:3]]


def test_a_split_keeps_the_outputs_for_a_prompt_together(tmp_path: Path) -> None:
    dataset = load(write_table(tmp_path, complete(200)))
    labelled, rest = split(dataset, seed=3, share=0.3)
    assert len(labelled.items) == 60
    assert set(labelled.items) | set(rest.items) == set(dataset.items)
    assert not set(labelled.sources) & set(rest.sources)
    assert split(dataset, seed=3, share=0.3)[0].items == labelled.items
    assert split(dataset, seed=4, share=0.3)[0].items != labelled.items


def test_raw_scores_are_quantised_and_calibrated_ones_follow_the_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [
        Row(f"q{i}", "s", name, score, round(float(quality), 4))
        for i, quality in enumerate(rng.random(400))
        for name, score in (("square", float(quality) ** 2), ("mute", 0.5))
    ]
    labelled, rest = split(load(write_table(tmp_path, rows)), seed=0)
    plain, mapped = raw(rest), calibrated(labelled, rest)
    assert plain.scores.tolist() == np.floor(rest.scores * ONE + 0.5).astype(int).tolist()
    mute, square = (np.abs(mapped.scores[i] - mapped.reference.astype(int)) for i in (0, 1))
    assert len(set(mapped.scores[0])) == 1
    assert abs(int(mapped.scores[0, 0]) - ONE * labelled.reference.mean()) <= 1
    assert square.mean() < 0.02 * ONE < mute.mean()
    order = np.argsort(rest.scores[1])
    assert (np.diff(mapped.scores[1][order].astype(int)) >= 0).all()


@pytest.mark.skipif(not DATA.exists(), reason="the shared data is not here")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("evouna_nq", (12, 3000)),
        ("openqa_nq301", (15, 1477)),
        ("realsumm", (14, 2400)),
        ("summeval_relevance", (13, 1200)),
        ("summeval_coherence", (13, 1200)),
        ("gal_adult2", (10, 270)),
    ],
)
def test_the_shared_tables_are_complete(name: str, shape: tuple[int, int]) -> None:
    dataset = load(DATA / f"{name}.csv")
    assert dataset.scores.shape == shape
    assert ((dataset.scores >= 0) & (dataset.scores <= 1)).all()
    assert not any("expert" in each or "annotator" in each for each in dataset.evaluators)
