"""The network that attackers find."""

from __future__ import annotations

import pytest

from tests.contracts.bare_network import BareNetwork
from tests.contracts.rounds import staffed


@pytest.fixture
def network() -> BareNetwork:
    """Deploy and register nine evaluators and two inference nodes."""
    return staffed()
