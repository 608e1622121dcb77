"""`poq study`: what it prints, what it refuses, and that the study that comes along can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle.cli.exits import Exit
from oracle.study.configuration import PAPER, read
from tests.cli.world import poq
from tests.study.tables import made_up_rows, write_table
from tests.study.test_study import SMALL


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for seed, name in enumerate(("first", "second")):
        write_table(tmp_path, made_up_rows(seed=seed), name)
    path = tmp_path / "study.toml"
    path.write_text(SMALL.format(data=tmp_path, out=tmp_path / "elsewhere"))
    return path


def test_a_study_without_its_data_or_with_a_wrong_configuration_is_refused(config: Path) -> None:
    ran = poq("study", "all", config, "--data", config.parent / "absent")
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "first.csv: No such file" in ran.err
    (config.parent / "first.csv").write_text("nothing\n")
    assert "is no table of scores" in poq("study", "sweep", config).err
    config.write_text("seeds = 0")
    ran = poq("study", "sweep", config)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert ran.err.startswith(f"{config}: ")
    assert len(ran.err.splitlines()) == 1


def test_rewards_are_tabled_drawn_and_answered(config: Path) -> None:
    out = config.parent / "results"
    ran = poq("study", "rewards", config, "--out", out, "--workers", "1", "--json")
    assert (ran.code, ran.err) == (0, "")
    told = ran.json
    assert (told["version"], told["kind"]) == (1, "study")
    [table] = told["tables"]
    assert table == {"table": "rewards", "path": str(out / "rewards.parquet"), "rows": 16}
    assert told["figures"] == [
        str(out / "figures" / name) for name in ("rewards.svg", "rewards.png")
    ]
    assert all(Path(path).stat().st_size for path in told["figures"])
    assert [answer["scale"] for answer in told["answers"]] == ["calibrated", "raw"] * 2
    people = poq("study", "rewards", config, "--out", out, "--workers", "1")
    assert people.out.count("Larger panels lower") == 1


def test_the_study_that_comes_along_is_a_configuration() -> None:
    assert len(read(PAPER).sweep.rules) >= 5
