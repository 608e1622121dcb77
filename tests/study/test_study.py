"""A whole study: what is refused, what resumes, and the same bytes wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from deploy.parameters import load_parameters, names
from oracle.study import report, sweep
from oracle.study.configuration import (
    PAPER,
    VERSION,
    Configuration,
    ConfigurationInvalid,
    fingerprint,
    read,
)
from oracle.study.runner import Study, cluster, local
from tests.study.tables import made_up_rows, write_table

SMALL = """
data = "{data}"
out = "{out}"
datasets = ["first", "second"]
scales = ["raw", "calibrated"]
labelled_share = 0.3
seeds = 2

[reliability]
resamples = 50

[sweep]
rounds = 30
items = [1, 5]
panel_sizes = [3, 5, 7]
ratios = [0.2, 0.4]

[sweep.attacks]
noise = {{ deviation = 0.3 }}
collusion = {{}}

[sweep.rules.mean]
rule = "mean"

[sweep.rules.default]
rule = "trust-weighted-mean"
trust = {{ gain = 5_000, loss = 20_000, tolerance = 200, spread = 15_000, evidence = 20 }}

[rewards]
rounds = 30
items = [1]
panel_sizes = [3, 5]
rules = ["default"]
quality_weight = 10_000
cost_weight = 1_000
closeness_scale = 10_000
latency = 0.2
inference_cost = 0.2

[peers]
rounds = 5
seeds = 1
items = 5
panel_size = 5
ratio = 0.4
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A small study of two made-up tables of six evaluators: seven seats cannot be filled."""
    for seed, name in enumerate(("first", "second")):
        write_table(tmp_path, made_up_rows(seed=seed), name)
    path = tmp_path / "study.toml"
    path.write_text(SMALL.format(data=tmp_path, out=tmp_path / "out"))
    return path


def tables(configuration: Configuration, out: Path, executor: Executor) -> dict[str, bytes]:
    """Do everything and return each table's bytes."""
    study = Study(configuration.model_copy(update={"out": out}))
    for work in (study.reliability, study.sweep, study.rewards, study.peers):
        work(executor, lambda *heard: None)
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


@contextmanager
def here() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


# Configurations


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("seeds = 2", "seeds = 0", "seeds"),
        ("seeds = 2", "seeds = 2\nseed = 1", "seed"),
        ('scales = ["raw", "calibrated"]', 'scales = ["log"]', "scales.0"),
        ("collusion = {}", "bribery = {}", "sweep"),
        ("deviation = 0.3", "strength = 0.3", "sweep"),
        ('rule = "mean"', 'rule = "mode"', "sweep.rules.mean.rule"),
        ('rule = "mean"', 'rule = "trust-weighted-median"', "sweep.rules.mean"),
        ('rules = ["default"]', 'rules = ["another"]', "rewards.rules"),
        ("panel_sizes = [3, 5, 7]", "panel_sizes = [32]", "sweep.panel_sizes.0"),
        ("gain = 5_000", "gain = 2_000_000", "sweep.rules.default.trust.gain"),
        ("ratios = [0.2, 0.4]", "ratios = [1.5]", "sweep.ratios.0"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused_with_the_place(
    config: Path, old: str, new: str, place: str
) -> None:
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new, 1))
    with pytest.raises(ConfigurationInvalid, match=place.replace(".", r"\.")):
        read(config)


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot read"):
        read(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("= 1")
    with pytest.raises(ConfigurationInvalid, match="not TOML"):
        read(tmp_path / "broken.toml")


def test_the_hash_follows_what_decides_the_results_and_nothing_else(
    config: Path, tmp_path: Path
) -> None:
    first = fingerprint(read(config))
    assert fingerprint(read(config).model_copy(update={"out": tmp_path / "other"})) == first
    assert fingerprint(read(config).model_copy(update={"seeds": 3})) != first
    table = tmp_path / "first.csv"
    table.write_text(table.read_text().replace("0.5", "0.6", 1))
    assert fingerprint(read(config)) != first
    table.unlink()
    with pytest.raises(ConfigurationInvalid, match=r"first\.csv"):
        fingerprint(read(config))


def test_the_default_of_the_study_is_the_default_of_deployments() -> None:
    studied = read(PAPER).sweep.rules["default"].choice("default").trust
    for name in names():
        assert load_parameters(name).registry.trust == studied


# Runs


def test_a_report_has_tables_figures_and_answers_and_is_the_same_again(
    config: Path, tmp_path: Path
) -> None:
    study = Study(read(config))
    with here() as executor:
        done, again = (
            report.complete(study, report.KINDS, executor, lambda *heard: None, tmp_path / name)
            for name in ("once", "twice")
        )
    assert [path.name for path in done.figures] == [
        f"{name}.{kind}"
        for name in ("reliability", "attacks", "kept", "rewards", "peers")
        for kind in ("svg", "png")
    ]
    for path, other in zip(done.figures, again.figures, strict=True):
        assert path.read_bytes() == other.read_bytes()
    assert len(done.answers) == 8
    assert done.answers == again.answers
    assert done.goals


def test_every_row_has_the_hash_the_version_and_the_seed(config: Path, tmp_path: Path) -> None:
    configuration = read(config)
    with here() as executor:
        tables(configuration, tmp_path / "out", executor)
    for kind in report.KINDS:
        table = pl.read_parquet(tmp_path / "out" / f"{kind}.parquet")
        assert set(table["configuration"]) == {fingerprint(configuration)}
        assert set(table["version"]) == {VERSION}
        seeds = {"sweep": {0, 1}, "rewards": {0, 1}, "peers": {0}}
        assert kind == "reliability" or set(table["seed"]) == seeds[kind]
    swept = pl.read_parquet(tmp_path / "out" / "sweep.parquet")
    assert set(swept["panel_size"]) == {3, 5}
    # Tables × scales × items × panels × rules × (honest and attacks × ratios) × seeds.
    assert len(swept) == 2 * 2 * 2 * 2 * 2 * (1 + 2 * 2) * 2


def test_a_study_that_stopped_goes_on_where_it_was(config: Path, tmp_path: Path) -> None:
    study = Study(read(config))
    told: list[tuple[int, int, str]] = []
    with here() as executor:
        whole = study.sweep(executor, lambda *heard: None)
        content = study.store.path("sweep").read_bytes()
        parts = sorted((tmp_path / "out" / "parts").iterdir())
        lost = [path for path in parts if "first" in path.name]
        kept = {path: path.stat().st_mtime_ns for path in parts if path not in lost}
        for path in lost:
            path.unlink()
        again = study.sweep(executor, lambda *heard: told.append(heard))
    assert again.equals(whole)
    assert study.store.path("sweep").read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert [done for done, _, _ in told] == list(range(len(kept), len(parts) + 1))


def test_a_part_that_fails_stops_the_study_and_leaves_what_was_done(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(read(config))
    played = sweep.run

    def failing(part: sweep.Part) -> pl.DataFrame:
        if part.dataset == "second":
            raise MemoryError
        return played(part)

    monkeypatch.setattr(sweep, "run", failing)
    with here() as executor, pytest.raises(MemoryError):
        study.sweep(executor, lambda *heard: None)
    names = [path.name for path in (study.store.directory / "parts").iterdir()]
    assert len(names) == 8
    assert not any("second" in name for name in names)
    assert not study.store.path("sweep").exists()


def test_processes_and_a_dask_cluster_give_the_bytes_of_one_thread(
    config: Path, tmp_path: Path
) -> None:
    configuration = read(config)
    with here() as executor:
        expected = tables(configuration, tmp_path / "thread", executor)
    assert len(expected) == 4
    with local(2) as executor:
        assert tables(configuration, tmp_path / "processes", executor) == expected

    from distributed import LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            protocol="tcp",
            host="127.0.0.1",
        ) as workers,
        cluster(workers.scheduler_address) as executor,
    ):
        assert tables(configuration, tmp_path / "cluster", executor) == expected
