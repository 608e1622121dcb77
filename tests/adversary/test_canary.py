"""
A key, a password and a node's API key that are in no byte of what any command prints or writes.

A canary key plays every part of a round: it owns, operates, requests, settles and deploys, from a
keystore and from the command line, with all that `-v` and POQ_TRACEBACK tell, and as things go
wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from oracle.chain.devnet import CHAIN_ID, accounts
from oracle.chain.keys import Signer, write_keystore
from oracle.chain.rounds import round_history
from oracle.chain.salts import salt_of
from tests.adversary.malformed import Stage, session_of, write_journal
from tests.adversary.wire import wired
from tests.canary import API_KEY, KEY, PASSWORD, forms, leaks
from tests.cli.test_help import COMMANDS
from tests.cli.world import METHODS, Argument, Ran

NAME = "canary"
ACCOUNT = Account.from_key(KEY)
WITHOUT_KEYS = {
    # They run for long, on data and ports of their own, and never see a key or a node's URL.
    *("demo", "devnet", "plan"),
    *("study all", "study peers", "study reliability", "study rewards", "study sweep"),
}
SERVICES = {
    # They need others that run: what they say is searched where they are tested.
    *("check", "evaluator run", "inference serve", "oracle run"),
    *("requester ask", "requester submit"),
}


class Aviary(Stage):
    """A stage where the canary does everything; what it said is kept, with each command."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.env |= {"POQ_TRACEBACK": "1"}
        self.said: list[tuple[list[str], Ran]] = []

    def sing(self, *arguments: Argument, bare: bool = False, **changes: str) -> Ran:
        """Run a command as the canary, with its keystore or with a bare key."""
        told = [str(each) for each in arguments]
        key = ["--private-key", f"0x{KEY}"] if bare else ["--account", NAME]
        takes_key = any("--private-key" in each.opts for each in _command(told).params)
        before, self.env = self.env, {**self.env, **changes}
        try:
            ran = self.poq(*told, *(key if takes_key else []), "-v")
        finally:
            self.env = before
        self.said.append((told, ran))
        return ran

    def works(self, *arguments: Argument) -> Ran:
        """Run a command that has to succeed, once with each kind of key if it can be tried."""
        command = _command([str(each) for each in arguments])
        if any("--dry-run" in each.opts for each in command.params):
            self.sing(*arguments, "--dry-run", bare=True)
        ran = self.sing(*arguments)
        assert ran.code == 0, (arguments, ran.err)
        return ran

    def hatch(self) -> None:
        """Give the canary a keystore, ether and tokens."""
        self.path("key.hex").write_text(f"0x{KEY}\n")
        write_keystore(self.path(f"keys/{NAME}"), Signer(ACCOUNT), PASSWORD, work=4096)
        rich = accounts(1)[0]
        signed = rich.sign_transaction(
            {
                "to": ACCOUNT.address,
                "value": 10**18,
                "gas": 21_000,
                "gasPrice": 10**10,
                "nonce": int(self.ask("eth_getTransactionCount", rich.address, "latest"), 16),
                "chainId": CHAIN_ID,
            }
        )
        self.ask("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex().removeprefix("0x"))


def _command(arguments: list[str]) -> Any:
    return COMMANDS.get(" ".join(arguments[:2])) or COMMANDS[arguments[0]]


@pytest.fixture(scope="module")
def aviary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aviary]:
    """Play a whole round by the canary's hand, and then all that fails."""
    stage = Aviary(tmp_path_factory.mktemp("aviary"))
    with wired(stage.wire):
        stage.found()
        stage.prepare()
        stage.hatch()
        plays(stage)
        fails(stage)
        yield stage


def plays(stage: Aviary) -> None:
    """Use every command with success."""
    qa, mock = stage.path("qa.jsonl"), ["--parameters", "local", "--mock-token"]
    more: list[Argument] = ["--keystore", stage.path("more")]
    key = stage.path("key.hex")
    stage.works("keys", "import", "mine", "--private-key-file", key, *more)
    stage.works("keys", "new", "other", *more)
    stage.works("keys", "list", *more)
    stage.works("keys", "devnet", stage.path("even-more"), "requester")
    stage.works("deploy", *mock, "--deployments", stage.path("elsewhere"))
    stage.works("token", "mint", "5000ether", NAME)
    stage.works("token", "balance", NAME)
    stage.works("node", "register", "inference")
    stage.works("node", "register", "evaluator")
    stage.works("node", "rotate-operator", 7, "--operator", NAME)
    stage.works("node", "show")
    stage.works("workload", "example", "qa", "--calibration", "-o", stage.path("judged.jsonl"))
    stage.works("workload", "show", qa)
    fitted = stage.path("fitted.json")
    stage.works("calibrate", stage.path("judged.jsonl"), "--evaluator", METHODS[0], "-o", fitted)
    scores = stage.path("scores-canary.json")
    fit: list[Argument] = ["--calibration", fitted, "-o", scores]
    stage.works("evaluate", qa, "--evaluator", METHODS[0], *fit)
    for label, i in (("gemma3-270m", 1), ("use-sentence", 2)):
        signed = stage.path(f"receipts/{i}.json")
        stage.receipt(label, 3 + i, f"inference-{i}", signed, to=NAME)
    own: list[Argument] = ["--label", "gemma3-270m", "--requester", NAME, "-o", stage.path("own")]
    stage.works("receipt", qa, "--node-id", 6, *own)
    for i in (1, 2):
        # All four evaluators sit. Owners of a batch would not, so the canary has none.
        stage.works(*stage.opening("--rule", "median", "--panel-size", 4))
        stage.works("round", "draw", i)
        plays_round(stage, i, scores)
    looks_at_transactions(stage)
    stage.works("round", "list")
    stage.works("withdraw")
    stage.works("audit", "--html", stage.path("audit.html"), "--csv", stage.path("tables"))
    stage.works("audit", "export", stage.path("export.zip"))
    stage.works("node", "exit", 7)
    stage.pass_time(10**7)
    stage.works("node", "withdraw", 7)


def plays_round(stage: Aviary, round_id: int, scores: Path) -> None:
    """Commit, reveal and settle; or let the second round end without a quorum, and be slashed."""
    panel = [seat["nodeId"] for seat in stage.done("round", "show", round_id)["seats"]]
    theirs = [node for node in panel if node != 7]
    if round_id == 2:
        stage.pass_time(10_000)
        stage.works("round", "cancel", 2)
        stage.works("node", "top-up", 7)
        return
    for node in theirs:
        assert stage.commit(round_id, node).code == 0
    own: list[Argument] = ["--round", round_id, "--scores", scores]
    stage.works("commit", *own, "--workload", stage.path("qa.jsonl"))
    stage.works("reveal", *own, "-o", stage.path("reveals/canary.json"))
    stage.works("reveal", *own, "--on-chain")
    for node in theirs:
        assert stage.open_reveal(round_id, node).code == 0
    given = [part for node in theirs for part in ("--reveals", stage.reveal(node))]
    stage.works("settle", "--round", round_id, *given)
    stage.works("round", "show", round_id)
    stage.works("explain", "--round", round_id, "--node", panel[0])


def looks_at_transactions(stage: Aviary) -> None:
    """Send something as a daemon does, and look at its journal, which holds signed bytes."""
    write_journal(stage, Signer(ACCOUNT))
    data: list[Argument] = ["--data-dir", stage.path("data")]
    stage.works("tx", "list", *data)
    stage.works("tx", "status", "approve", *data)
    for command in ("bump", "cancel"):
        for bare in (False, True):
            stage.sing("tx", command, "approve", *data, bare=bare)


def fails(stage: Aviary) -> None:
    """Fail as one can: each with a keystore and with a bare key."""
    wrong = stage.path("wrong")
    wrong.write_text(PASSWORD[:-1] + "\n")
    broken = stage.path("broken.hex")
    broken.write_text(KEY[:-1] + "\n")
    url = f"http://127.0.0.1:9/v3/{API_KEY}"
    for bare in (False, True):
        for arguments, code, changes in (
            (["node", "exit", 99], 5, {}),
            (["node", "exit", 1], 5, {}),
            (["settle", "--round", 1], 5, {}),
            (["round", "draw", 99], 2, {}),
            (["token", "mint", "1ether", NAME, "--chain", 5], 8, {}),
            (["token", "mint", "1ether", "nobody"], 2, {}),
            (["token", "mint", "lots", NAME], 2, {}),
            (["withdraw", "--nothing"], 2, {}),
            (["node", "exit", 1], 4, {"ETH_RPC_URL": f"ftp://{API_KEY}@node"}),
            (["node", "exit", 1], 2, {"POQ_DEPLOYMENTS": str(stage.path("nowhere"))}),
        ):
            ran = stage.sing(*arguments, bare=bare, **changes)
            assert ran.code == code, (arguments, ran.err)
    assert stage.sing("node", "exit", 1, ETH_PASSWORD=str(wrong)).code == 7
    imports: list[Argument] = ["keys", "import", "third", "--private-key-file", broken]
    assert stage.sing(*imports).code == 7
    stage.wire.liar, stage.wire.rate = random.Random(1), 1.0
    for bare in (False, True):
        # A lie may make sense: that this is another chain, where nothing is deployed.
        assert stage.sing("node", "exit", 1, bare=bare, ETH_RPC_URL=url).code in {2, 4}
    stage.wire.liar = None


def test_every_command_that_could_see_a_secret_was_run(aviary: Aviary) -> None:
    used = {name for name in COMMANDS for told, _ in aviary.said if _is(told, name)}
    assert set(COMMANDS) - used - SERVICES == WITHOUT_KEYS


def _is(told: list[str], name: str) -> bool:
    words = name.split()
    longer = " ".join(told[: len(words) + 1]) in COMMANDS
    return told[: len(words)] == words and not (longer and len(told) > len(words))


def test_no_secret_is_in_a_byte_of_what_commands_print(
    aviary: Aviary, record_property: Callable[[str, object], None]
) -> None:
    assert len(aviary.said) > 70
    printed = sum(len(ran.out) + len(ran.err) for _, ran in aviary.said)
    assert [told for told, ran in aviary.said if leaks(ran.out + ran.err)] == []
    figure = {"name": "secrets in the output of all commands, bytes", "value": 0, "goal": 0}
    record_property("figure", figure | {"seed": f"{len(aviary.said)} runs, {printed} bytes"})


def test_no_secret_is_in_a_file_but_those_that_were_given(aviary: Aviary) -> None:
    given = {"key.hex", "keys/password", "wrong", "broken.hex"}
    found = {
        path.relative_to(aviary.directory).as_posix()
        for path in aviary.directory.rglob("*")
        if path.is_file() and leaks(path.read_bytes())
    }
    # The local chain's keystores come with a password file.
    assert found <= given


def test_a_salt_is_nowhere_before_it_is_revealed(tmp_path: Path) -> None:
    """Whoever knows it can try all scores against the commitment."""
    stage = Stage(tmp_path)
    with wired(stage.wire):
        stage.found()
        stage.prepare()
        seats = stage.draw(stage.open())
        said = [stage.commit(1, node) for node in seats]
        session = session_of(stage)
        key = round_history(session.web3, session.deployment, 1, session.state.block).key
        salts = [salt_of(Signer(accounts(6)[2 + node]), key, node).hex() for node in seats]
        written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
        for salt in salts:
            assert not any(leaks(ran.out + ran.err, [salt]) for ran in said)
            assert not any(leaks(content, [salt]) for content in written)
        for node in seats:
            stage.open_reveal(1, node)
        # The same search finds them once they are revealed.
        opened = b"".join(path.read_bytes() for path in tmp_path.glob("reveals/*.json"))
        assert len(leaks(opened, salts)) == len(salts)


# That the search finds, and that the guard over all tests bites


@pytest.mark.parametrize("secret", [KEY, PASSWORD, API_KEY])
def test_a_secret_is_found_in_every_form(secret: str) -> None:
    for form in forms(secret):
        assert leaks(b"before " + form + b" after") == [secret[:12]]
    assert leaks(secret[:-1]) == []


PRINTS = """
import logging, sys
from tests.canary import KEY

def test_out(): print(int(KEY, 16))
def test_err(): print("0x" + KEY.upper(), file=sys.stderr)
def test_log(): logging.getLogger().warning(KEY)
def test_exception(): raise ValueError(KEY)
def test_assertion(): assert KEY == ""
def test_fine(): print(KEY[:-1])
"""


def test_a_test_that_says_a_secret_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=PRINTS)
    ran = pytester.runpytest_subprocess("-p", "tests.canary", "-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1, failed=5)
    assert KEY not in "\n".join(ran.outlines).lower()
