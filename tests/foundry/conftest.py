"""The compiled Solidity tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from tests.foundry import campaigns


@pytest.fixture(scope="session")
def solidity(forge: Path) -> Path:
    """Return forge, with the Solidity tests compiled: about 10 s the first time."""
    campaigns.BUILD.mkdir(parents=True, exist_ok=True)
    with FileLock(campaigns.BUILD / "compile.lock"):
        campaigns.compile_tests(forge)
    return forge
