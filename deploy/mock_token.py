"""
Where the mock token is found: it is a contract of the tests, and the demo pays with it.

In a checkout its artifact lies with the tests, in an installed wheel beside this module. Anybody
can mint it, so it is worth nothing anywhere.
"""

from __future__ import annotations

from pathlib import Path

from deploy.artifacts import Artifact, load

NAME = "MockToken"
_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parent / "tests" / "contracts" / "artifacts"


def mock_token() -> Artifact:
    """Return the artifact of the mock token; raise `ArtifactNotFound`."""
    return load(NAME, _HERE if (_HERE / f"{NAME}.json").is_file() else _CHECKOUT)
