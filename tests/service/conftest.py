"""A running anvil, and a deployment on it with everybody who acts there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import anvil as anvils
from tests.service.stage import Stage


@pytest.fixture
def node(anvil: Path) -> Iterator[anvils.Anvil]:
    """Run a node of the test's own; skipped where anvil is not to be had."""
    with anvils.running(anvil) as running:
        yield running


@pytest.fixture
def stage(node: anvils.Anvil, tmp_path: Path) -> Stage:
    """Deploy and register three evaluators and two systems."""
    return Stage(node, tmp_path)
