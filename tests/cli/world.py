"""A chain behind a port, and everybody who acts on it by running `poq`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from oracle.chain.devnet import accounts
from oracle.cli.app import run
from tests import canary

Argument = str | Path | int

NAMES = (
    "deployer",
    "requester",
    "settler",
    "evaluator-1",
    "evaluator-2",
    "evaluator-3",
    "inference-1",
    "inference-2",
    "stranger",
)
METHODS = ("token-f1", "token-recall", "chrf")
SECRETS = (
    *(canary.KEY, canary.PASSWORD, canary.API_KEY),
    *(each.key.hex().removeprefix("0x") for each in accounts(len(NAMES))),
)
"""What no command may print."""


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def poq(*arguments: Argument, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command in this process, with no settings but `env`."""
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({"HOME": "/nonexistent", "COLUMNS": "200", **(env or {})})
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(before)
    ran = Ran(int(code), out.getvalue(), err.getvalue())
    assert canary.leaks(ran.out + ran.err, SECRETS) == []
    return ran


class World:
    """A local chain, and the files of everybody who acts on it, below one directory."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.env = {
            "ETH_RPC_URL": f"{url}/v3/{canary.API_KEY}",
            "ETH_KEYSTORE": str(directory / "keys"),
            "ETH_PASSWORD": str(directory / "keys" / "password"),
            "POQ_DEPLOYMENTS": str(directory / "deployments"),
            "POQ_AUDIT_CACHE": str(directory / "cache"),
        }

    def path(self, name: str) -> Path:
        return self.directory / name

    def poq(self, *arguments: Argument, by: str | None = None) -> Ran:
        """Run a command, signed by the account called `by`."""
        signed = [] if by is None else ["--account", by]
        return poq(*arguments, *signed, env=self.env)

    def done(self, *arguments: Argument, by: str | None = None) -> Any:
        """Run a command that has to succeed, and return its JSON."""
        ran = self.poq(*arguments, "--json", by=by)
        assert ran.code == 0, (arguments, ran.err)
        return json.loads(ran.out) if ran.out else None

    def ask(self, method: str, *params: Any) -> Any:
        body: Any = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return requests.post(self.url, json=body, timeout=10).json()["result"]

    def height(self) -> int:
        return int(self.ask("eth_blockNumber"), 16)

    def pass_time(self, seconds: int) -> None:
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take the chain back to where it was when the context ends."""
        snapshot = self.ask("evm_snapshot")
        yield
        self.ask("evm_revert", snapshot)

    # The steps of a round

    def found(self) -> None:
        """Deploy, fund everybody, and register the nodes 1 to 5."""
        self.path("keys").mkdir(parents=True)
        password = self.path("keys/password")
        password.touch(mode=0o600)
        password.write_text(canary.PASSWORD + "\n")
        poq("keys", "devnet", self.path("keys"), *NAMES)
        self.done("deploy", "--parameters", "local", "--mock-token", by="deployer")
        self.done("token", "mint", "10000ether", *NAMES[1:8], by="deployer")
        for i in (1, 2, 3):
            assert self.done("node", "register", "evaluator", by=f"evaluator-{i}")["nodeId"] == i
        for i in (1, 2):
            node = self.done("node", "register", "inference", by=f"inference-{i}")
            assert node["nodeId"] == 3 + i

    def prepare(self) -> None:
        """Cut the workload, sign the receipts, score with every method."""
        systems = ("gemma3-270m", "use-sentence")
        nodes = [part for system in systems for part in ("--node", system)]
        workload = self.path("qa.jsonl")
        self.done("workload", "example", "qa", *nodes, "--prompts", 3, "-o", workload)
        for i, system in enumerate(systems, start=1):
            self.receipt(system, 3 + i, f"inference-{i}", self.path(f"receipts/{i}.json"))
        for i, method in enumerate(METHODS, start=1):
            self.done("evaluate", workload, "--evaluator", method, "-o", self.scores(i))

    def receipt(self, label: str, node_id: int, by: str, out: Path, to: str = "requester") -> Any:
        return self.done(
            "receipt",
            self.path("qa.jsonl"),
            "--node-id",
            node_id,
            "--label",
            label,
            "--requester",
            to,
            "-o",
            out,
            by=by,
        )

    def scores(self, i: int) -> Path:
        return self.path(f"scores-{i}.json")

    def reveal(self, i: int) -> Path:
        return self.path(f"reveals/{i}.json")

    def opening(self, *changes: Argument) -> list[Argument]:
        """Return the command that opens a round; later options win."""
        budgets = ["--inference-budget", "100ether", "--evaluator-budget", "100ether"]
        rest = ["--settlement-fee", "1ether", "--panel-size", 3, *changes]
        return ["round", "open", self.path("qa.jsonl"), *self.receipts, *budgets, *rest]

    @property
    def receipts(self) -> list[Argument]:
        return ["--receipt", self.path("receipts")]

    def open(self, *changes: Argument) -> int:
        return int(self.done(*self.opening(*changes), by="requester")["round"])

    def draw(self, round_id: int) -> dict[int, int]:
        """Draw the panel and return the seats by node."""
        seats = self.done("round", "draw", round_id, by="settler")["seats"]
        return {seat["nodeId"]: seat["seat"] for seat in seats}

    def commit(self, round_id: int, i: int) -> Ran:
        arguments: list[Argument] = ["--round", round_id, "--scores", self.scores(i)]
        return self.poq("commit", *arguments, by=f"evaluator-{i}")

    def open_reveal(self, round_id: int, i: int) -> Ran:
        arguments: list[Argument] = [
            "--round",
            round_id,
            "--scores",
            self.scores(i),
            "-o",
            self.reveal(i),
        ]
        return self.poq("reveal", *arguments, by=f"evaluator-{i}")

    def commit_all(self, round_id: int) -> None:
        """Commit all three seats, and write their reveals."""
        for step in (self.commit, self.open_reveal):
            for i in (1, 2, 3):
                ran = step(round_id, i)
                assert ran.code == 0, ran.err

    def settle(self, round_id: int, *reveals: Path, by: str = "settler") -> Ran:
        given = [part for path in reveals for part in ("--reveals", path)]
        return self.poq("settle", "--round", round_id, *given, by=by)
