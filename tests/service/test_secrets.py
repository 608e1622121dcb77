"""
No key, no password and no token of a node's URL leaves a service: not by its logs, its files, its
metrics, its answers, nor by what the process list shows.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.service import anvil as anvils
from tests.service.faults import Proxy, before
from tests.service.processes import ROOT, Network
from tests.service.stage import PASSWORD, Stage

ROUNDS = 2
SECONDS = 240
TOKEN = "t0k3n-that-opens-the-node"
SEED = 6
TROUBLE = 0.1


def _forms(secret: bytes) -> set[bytes]:
    """Return a secret as it could be written down."""
    text = secret.hex()
    return {
        secret,
        text.encode(),
        text.upper().encode(),
        str(int.from_bytes(secret)).encode(),
        base64.b64encode(secret),
        repr(secret).encode(),
    }


def _keys(stage: Stage) -> set[bytes]:
    accounts = [*stage.settlers, *(player.operator for player in stage.evaluators)]
    forms = set[bytes]().union(*(_forms(bytes(account.key)) for account in accounts))
    return forms | {PASSWORD.encode(), base64.b64encode(PASSWORD.encode())}


def _found(secrets: set[bytes], content: bytes) -> list[bytes]:
    return [secret for secret in secrets if secret in content]


@contextmanager
def _network(stage: Stage, proxy: Proxy) -> Iterator[Network]:
    port = proxy.url.rpartition(":")[2]
    network = Network(stage, url=f"http://operator:{TOKEN}@127.0.0.1:{port}/v3/{TOKEN}")
    with network.running():
        yield network


@pytest.fixture(scope="module")
def seen(
    anvil: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stage, dict[str, bytes]]]:
    """Run a network through good and bad weather; return all that anybody else could see of it."""
    with anvils.running(anvil) as node:
        stage = Stage(node, tmp_path_factory.mktemp("secrets"))
        shown: dict[str, bytes] = {}
        with before(node.url, SEED, time_out=0.5) as proxy, _network(stage, proxy) as network:
            stage.open(ROUNDS)
            proxy.rate = TROUBLE
            network.wait_for_ends(ROUNDS, SECONDS, mine=True)
            proxy.rate = 0.0
            network.wait_until_up()
            for each in network.processes:
                for name in ("cmdline", "environ"):
                    shown[f"{name} of {each.name}"] = Path(f"/proc/{each.pid}/{name}").read_bytes()
                url = [event["url"] for event in each.events() if event["event"] == "started"][-1]
                for page in ("/metrics", "/healthz", "/readyz", "/openapi.json", "/v1/rounds/1"):
                    shown[f"{page} of {each.name}"] = requests.get(url + page, timeout=10).content
            for each in network.processes:
                each.stop()
        for path in stage.directory.rglob("*"):
            if path.is_file() and stage.keystores not in path.parents:
                shown[str(path.relative_to(stage.directory))] = path.read_bytes()
        yield stage, shown


def test_no_key_and_no_password_is_in_what_others_can_see(
    seen: tuple[Stage, dict[str, bytes]],
) -> None:
    stage, shown = seen
    assert {"oracle-1.log", "oracle-1/transactions.sqlite", "cmdline of oracle-1"} <= set(shown)
    keys = _keys(stage)
    assert {name: _found(keys, content) for name, content in shown.items()} == {
        name: [] for name in shown
    }


def test_no_token_of_the_nodes_url_is_in_what_others_can_see(
    seen: tuple[Stage, dict[str, bytes]],
) -> None:
    _, shown = seen
    # The environment is for the operator's eyes, and holds the URL.
    own = {name for name in shown if name.startswith("environ of ")}
    assert all(TOKEN.encode() in shown[name] for name in own)
    secrets = {TOKEN.encode(), base64.b64encode(f"operator:{TOKEN}".encode())}
    leaks = {name for name, content in shown.items() if _found(secrets, content)}
    assert leaks - own == set()


def test_only_the_owner_can_look_into_a_data_directory(
    seen: tuple[Stage, dict[str, bytes]],
) -> None:
    stage, _ = seen
    for name in ("oracle-1", "evaluator-1"):
        assert (stage.directory / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "password"),
    [
        (["--account", "settler-1"], "another password, as secret as the first"),
        (["--account", "settler-1", "--rpc-url", f"http://x:{TOKEN}@127.0.0.1:1/"], PASSWORD),
        (["--private-key", "0x" + "5ec2e7" * 10 + "zz"], PASSWORD),
    ],
    ids=["wrong password", "no node", "no key"],
)
def test_a_start_that_fails_tells_no_secret_and_shows_no_traceback(
    seen: tuple[Stage, dict[str, bytes]], tmp_path: Path, arguments: list[str], password: str
) -> None:
    stage, _ = seen
    file = tmp_path / "password"
    file.write_text(password)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "oracle.cli", "oracle", "run", "--port", "0"),
            *("--data-dir", str(tmp_path / "data"), *arguments),
        ],
        cwd=ROOT,
        env=stage.environment() | {"ETH_PASSWORD": str(file), "POQ_TRACEBACK": "1"},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert ran.returncode in {4, 7}
    secrets = _keys(stage) | {password.encode(), TOKEN.encode(), b"5ec2e7" * 10}
    assert _found(secrets, ran.stdout + ran.stderr) == []
    assert b"Traceback" not in ran.stderr
