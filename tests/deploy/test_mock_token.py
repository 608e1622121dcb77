"""The mock token is found where the project lies, and where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from deploy.mock_token import NAME, mock_token

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_token_of_a_checkout_is_that_of_the_tests() -> None:
    assert mock_token().name == NAME
    assert mock_token().bytecode


def test_a_wheel_carries_the_token_to_where_it_is_looked_for(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for package in ("deploy", "contracts/artifacts"):
        shutil.copytree(ROOT / package, tmp_path / package)
    for source, target in carried.items():
        shutil.copy(ROOT / source, tmp_path / target)
    code = "from deploy.mock_token import mock_token; print(mock_token().name)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "MockToken\n"
