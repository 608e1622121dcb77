"""
Every kind of input that somebody else may have written, and the command that reads it.

A case writes a broken input, runs its command inside this process and judges what came of it: the
command may accept it, or say one sentence and end with an exit code of its own. It may never end
with a traceback, with the code of a mistake in the program, or with another sentence next time.
"""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import typer

import oracle.cli.app
from oracle.chain import calls
from oracle.chain.devnet import Devnet
from oracle.chain.devnet_rpc import DevnetRpc
from oracle.chain.fees import FeePolicy
from oracle.chain.journal import FILE, Journal
from oracle.chain.keys import Signer
from oracle.chain.sender import Sender
from oracle.cli.exits import Exit
from oracle.cli.options import Reading
from oracle.cli.session import Session, reverts
from oracle.study.configuration import PAPER
from tests import canary
from tests.adversary import mutation
from tests.adversary.wire import Wire, wired
from tests.cli.world import Argument, Ran, World, poq

LONGEST = 60
"""Seconds that one command may take; the slowest usual one takes a tenth of one."""

CHEAP = frozenset(
    {
        "workload",
        "judged workload",
        "recorded scores, CSV",
        "recorded scores, JSON",
        "calibration",
        "directory of keystores",
        "receipt",
        "deployment",
        "export",
    }
)

Command = Callable[[Path], list[Argument]]


class Stage(World):
    """A world over a wire, with a round that is settled, one that is committed and one drawn."""

    def __init__(self, directory: Path) -> None:
        super().__init__("http://127.0.0.1:8545", directory)
        self.wire = Wire(DevnetRpc(Devnet()))

    def ask(self, method: str, *params: Any) -> Any:
        """Ask the chain itself."""
        return self.wire.chain.request(method, list(params))

    def play(self) -> None:
        """Do all that the inputs need to have happened."""
        self.found()
        self.prepare()
        for round_id in (1, 2):
            self.draw(self.open())
            self.commit_all(round_id)
            if round_id == 1:
                assert self.settle(1, *(self.reveal(i) for i in (1, 2, 3))).code == Exit.OK
        self.draw(self.open())
        self.done("workload", "example", "qa", "--calibration", "-o", self.path("judged.jsonl"))
        judged, fitted = self.path("judged.jsonl"), self.path("fitted.json")
        self.done("calibrate", judged, "--evaluator", "length", "-o", fitted)
        self.done("audit", "export", self.path("export.zip"))


def session_of(stage: Stage) -> Session:
    """Return a connection to the stage's chain and contracts."""
    return Session(Reading(rpc_url=[stage.url], deployments=stage.path("deployments")))


def write_journal(stage: Stage, signer: Signer) -> None:
    """Send a transaction as a daemon does, such that its journal is in a file of its own."""
    stage.path("data").mkdir()
    session = session_of(stage)
    journal = Journal(stage.path("data") / FILE)
    call = calls.token(session.deployment, "approve", signer.address, 1)
    Sender(session.web3, signer, journal, reverts(), FeePolicy(10**12)).send("approve", call)
    journal.close()


@contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    """Yield a stage on which everything has been played; from then on nothing is sent."""
    stage = Stage(directory)
    with wired(stage.wire), pytest.MonkeyPatch.context() as patch:
        stage.play()
        stage.wire.remembered = {}
        # To put all commands together takes as long as to run one.
        patch.setattr(oracle.cli.app, "app", typer.main.get_command(oracle.cli.app.app))
        yield stage


@dataclass(frozen=True)
class Kind:
    """
    A kind of input: a valid one at `valid`, how to break it, and the command that reads `at`.

    With `liar`, the input is what the node answers, and the file is left alone. `cheap` ones take
    milliseconds, so that a long test can try more of them.
    """

    name: str
    valid: Path
    mutate: mutation.Mutation
    command: Command
    at: str
    by: str | None = None
    liar: bool = False

    @property
    def cheap(self) -> bool:
        """Whether its command needs neither a key nor many answers of a node."""
        return self.name in CHEAP


def kinds(stage: Stage) -> list[Kind]:
    """Return every kind of input."""
    words = mutation.either(mutation.broken_words)
    document = mutation.either(mutation.broken_json)
    lines = mutation.either(mutation.broken_lines)
    qa, out = stage.path("qa.jsonl"), stage.path("out.json")
    recorded = stage.path("recorded.csv")
    items = [json.loads(line) for line in qa.read_text().splitlines()[1:]]
    rows = "".join(f"{item['id']},{item['node']},0.5\n" for item in items)
    recorded.write_text("id,node,score\n" + rows)
    as_list = stage.path("recorded.json")
    fields = [{"id": i["id"], "node": i["node"], "score": 0.5} for i in items]
    as_list.write_text(json.dumps(fields))
    local = stage.path("local.toml")
    from deploy.parameters import SETS

    shutil.copy(SETS / "local.toml", local)
    bare = stage.path("key.hex")
    bare.write_text(f"0x{canary.KEY}\n")
    scored: list[Argument] = ["-o", out]
    deployment = stage.path("deployments/31337/deployment.json")
    others: list[Argument] = ["--reveals", stage.reveal(2), "--reveals", stage.reveal(3)]
    all_three: list[Argument] = ["--reveals", stage.reveal(1), *others]
    second: list[Argument] = ["--receipt", stage.path("receipts/2.json"), "--dry-run"]
    mock: list[Argument] = ["--mock-token", "--dry-run"]
    files = [
        Kind("workload", qa, lines, lambda p: ["workload", "show", p], "w.jsonl"),
        Kind(
            "judged workload",
            stage.path("judged.jsonl"),
            lines,
            lambda p: ["calibrate", p, "--evaluator", "length", *scored],
            "w.jsonl",
        ),
        Kind(
            "recorded scores, CSV",
            recorded,
            words,
            lambda p: ["evaluate", qa, "--evaluator", f"recorded:{p}", *scored],
            "r.csv",
        ),
        Kind(
            "recorded scores, JSON",
            as_list,
            document,
            lambda p: ["evaluate", qa, "--evaluator", f"recorded:{p}", *scored],
            "r.json",
        ),
        Kind(
            "calibration",
            stage.path("fitted.json"),
            document,
            lambda p: ["evaluate", qa, "--evaluator", "length", *scored, "--calibration", p],
            "c.json",
        ),
        Kind(
            "scores",
            stage.scores(1),
            document,
            lambda p: ["commit", "--round", 3, "--scores", p, "--dry-run"],
            "s.json",
            "evaluator-1",
        ),
        Kind(
            "workload of a round",
            qa,
            lines,
            lambda p: [
                *("commit", "--round", 3, "--scores", stage.scores(1)),
                *("--workload", p, "--dry-run"),
            ],
            "w.jsonl",
            "evaluator-1",
        ),
        Kind(
            "reveal",
            stage.reveal(1),
            document,
            lambda p: ["settle", "--round", 2, "--reveals", p, *others, "--dry-run"],
            "r.json",
            "settler",
        ),
        Kind(
            "receipt",
            stage.path("receipts/1.json"),
            document,
            lambda p: [
                *("round", "open", qa, "--receipt", p, *second),
                *("--inference-budget", "1ether", "--evaluator-budget", "1ether"),
            ],
            "r.json",
            "requester",
        ),
        Kind(
            "keystore",
            stage.path("keys/evaluator-1"),
            document,
            lambda p: ["node", "exit", 1, "--keystore", p, "--dry-run"],
            "k.json",
        ),
        Kind(
            "directory of keystores",
            stage.path("keys/evaluator-1"),
            document,
            lambda p: ["keys", "list", "--keystore", p.parent],
            "keystores/somebody",
        ),
        Kind(
            "password",
            stage.path("keys/password"),
            mutation.broken_bytes,
            lambda p: ["node", "exit", 1, "--password-file", p, "--dry-run"],
            "password",
            "evaluator-1",
        ),
        Kind(
            "bare key",
            bare,
            words,
            lambda p: ["keys", "import", "evaluator-1", "--private-key-file", p],
            "key.hex",
        ),
        Kind(
            "deployment",
            deployment,
            document,
            lambda p: ["round", "list", "--deployments", p.parent.parent],
            "d/31337/deployment.json",
        ),
        Kind(
            "parameters",
            local,
            words,
            lambda p: ["deploy", "--parameters", p, *mock],
            "p.toml",
            "deployer",
        ),
        Kind(
            "configuration of a study",
            PAPER,
            words,
            lambda p: ["study", "reliability", p, "--data", stage.path("none"), *scored],
            "s.toml",
        ),
        Kind(
            "export",
            stage.path("export.zip"),
            broken_export,
            lambda p: ["audit", "--from-file", p],
            "e.zip",
        ),
    ]
    asked: list[tuple[str, list[Argument], str | None]] = [
        ("rounds", ["round", "list"], None),
        ("a round", ["round", "show", 1], None),
        ("nodes", ["node", "show"], None),
        ("an audit", ["audit", "--no-cache"], None),
        ("an explanation", ["explain", "--round", 1, "--node", 1], None),
        (
            "a commit",
            ["commit", "--round", 3, "--scores", stage.scores(2), "--dry-run"],
            "evaluator-2",
        ),
        ("a settlement", ["settle", "--round", 2, "--dry-run", *all_three], "settler"),
        ("a payment", ["token", "mint", "1", "requester", "--dry-run"], "deployer"),
        ("a deployment", ["deploy", "--parameters", "local", *mock], "deployer"),
        (
            "a receipt",
            [
                *("receipt", qa, "--node-id", 4, "--label", "gemma3-270m"),
                *("--requester", "requester", *scored),
            ],
            "inference-1",
        ),
    ]
    answers = [
        Kind(f"RPC answers to {name}", qa, words, _always(command), "", by, liar=True)
        for name, command, by in asked
    ]
    return files + answers


def _always(command: list[Argument]) -> Command:
    return lambda _: command


def broken_export(rng: random.Random, content: bytes) -> bytes:
    """Break one member of an export and, mostly, let its manifest agree with that."""
    if rng.random() < 0.3:
        return mutation.broken_bytes(rng, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    as_json = name.endswith(".json")
    mutate = mutation.either(mutation.broken_json) if as_json else mutation.broken_bytes
    members[name] = mutate(rng, members[name])
    if name != "manifest.json" and rng.random() < 0.9:
        manifest = json.loads(members["manifest.json"])
        manifest["sha256"][name] = sha256(members[name]).hexdigest()
        members["manifest.json"] = json.dumps(manifest).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return made.getvalue()


def tried(stage: Stage, kind: Kind, seed: str) -> tuple[Ran, str]:
    """Run a kind's command on the input of this seed; return what came of it, and what is wrong."""
    rng = random.Random(seed)
    path = stage.path("broken") / kind.at
    if kind.liar:
        stage.wire.liar, stage.wire.rate = rng, rng.choice((0.05, 0.3, 1.0))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kind.mutate(rng, kind.valid.read_bytes()))
    try:
        with _no_longer_than(LONGEST):
            ran = stage.poq(*kind.command(path), by=kind.by)
    finally:
        stage.wire.liar = None
    return ran, complaint(ran)


def complaint(ran: Ran) -> str:
    """Return what is wrong with how a command ended, or nothing."""
    if "Traceback" in ran.err + ran.out:
        return "a traceback"
    if ran.code in {Exit.INTERNAL, Exit.INTERRUPTED} or ran.code not in set(Exit):
        return f"exit code {ran.code}"
    if ran.code in {Exit.OK, Exit.AUDIT_MISMATCH}:
        return ""
    if ran.out:
        return "data besides the error"
    if ran.err.count("\n") != 1 or not ran.err.endswith((".\n", "?\n")):
        return "not one sentence"
    return ""


def steady(text: str) -> str:
    """Return what a command said without what differs from run to run: times and hashes."""
    return re.sub(r"0x[0-9a-f]{64}|\d+ s\b", "…", text)


@contextmanager
def _no_longer_than(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"a command takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


__all__ = ["Kind", "Stage", "complaint", "kinds", "poq", "staged", "steady", "tried"]
