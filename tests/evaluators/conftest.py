"""Items for the evaluators' tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oracle.evaluators.workload import Item


@pytest.fixture(scope="session")
def pair() -> Callable[[str, str], Item]:
    """Make the item of an output and its reference."""

    def make(output: str, reference: str) -> Item:
        return Item(
            id="i",
            prompt="Which?",
            output=output,
            node="n",
            latency_ms=0,
            tokens=0,
            reference=reference,
        )

    return make
