"""The round by hand of the README, typed as it stands there, over the port of a local chain."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "oracle.cli"]
PATIENCE = 180  # seconds, for a machine that does much else


def typed_commands() -> str:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## One round by hand", 1)[1]
    [block] = re.findall(r"```sh\n(.*?)```", section.split("\n## ", 1)[0], re.DOTALL)
    return str(block)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Put `poq` on the path, and nothing of this machine's settings."""
    poq = tmp_path / "bin" / "poq"
    poq.parent.mkdir()
    poq.write_text(f'#!/bin/sh\nexec {sys.executable} -m oracle.cli "$@"\n')
    poq.chmod(0o755)
    return {
        "PATH": f"{poq.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }


@pytest.fixture
def devnet(environment: dict[str, str]) -> Iterator[str]:
    with subprocess.Popen(
        [*COMMAND, "devnet", "--port", "0", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_the_round_of_the_readme_is_settled_paid_and_audited(
    tmp_path: Path, environment: dict[str, str], devnet: str
) -> None:
    environment["ETH_RPC_URL"] = devnet
    ran = subprocess.run(
        ["bash", "-euc", typed_commands()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "nothing is wrong" in ran.stdout

    def ask(*arguments: str) -> Any:
        answer = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            cwd=tmp_path / "build" / "round",
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return json.loads(answer.stdout)

    shown = ask("round", "show", "1")
    assert (shown["phase"], shown["ended"], shown["items"]) == ("closed", "settled", 20)
    assert all(seat["committed"] for seat in shown["seats"])
    assert all(seat["settled"] for seat in shown["seats"])
    assert [seat["nodeId"] for seat in shown["seats"] if seat["revealed"]] == [3]
    paid = {payment["nodeId"]: int(payment["amount"]) for payment in shown["payments"]}
    assert sorted(paid) == [1, 2, 3, 4, 5]
    assert sum(paid.values()) + int(shown["refund"]) == 200 * 10**18

    keys = ["--keystore", "keys"]
    [first, second] = ask("token", "balance", "evaluator-1", "evaluator-2", *keys)["balances"]
    assert int(first["balance"]) == 9_000 * 10**18 + paid[1] and first["credit"] == "0"
    assert int(second["balance"]) == 9_000 * 10**18 and int(second["credit"]) == paid[2]

    audited = ask("audit")
    assert audited["right"] is True and audited["mismatches"] == []
