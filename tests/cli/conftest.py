"""Local chains behind ports, each brought to one stage of a round by `poq` itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oracle.chain.devnet import Devnet
from oracle.chain.devnet_server import serve
from tests.cli.world import World


@contextmanager
def a_world(directory: Path) -> Iterator[World]:
    with serve(Devnet(), port=0) as url:
        world = World(url, directory)
        world.found()
        world.prepare()
        yield world


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("founded")) as world:
        yield world


@pytest.fixture(scope="module")
def with_panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("drawn")) as world:
        world.draw(world.open())
        yield world


@pytest.fixture(scope="module")
def with_commits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(tmp_path_factory.mktemp("committed")) as world:
        world.draw(world.open())
        world.commit_all(1)
        yield world


@pytest.fixture
def world(founded: World) -> Iterator[World]:
    """Nodes 1 to 3 evaluate, 4 and 5 have signed receipts; no round was opened."""
    with founded.undone():
        yield founded


@pytest.fixture
def drawn(with_panel: World) -> Iterator[World]:
    """Round 1 is opened and drawn."""
    with with_panel.undone():
        yield with_panel


@pytest.fixture
def committed(with_commits: World) -> Iterator[World]:
    """All three seats of round 1 have committed, and their reveals are in files."""
    with with_commits.undone():
        yield with_commits
