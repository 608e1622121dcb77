"""
A deployment on anvil with everybody who acts on it, and what became of all that was sent.

The stage plays the requester, and keeps the keys of all others for the services under test. It
signs and sends by means of its own: what is tested does not test itself.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from eth_account.signers.local import LocalAccount
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector
from web3 import Web3

from deploy.artifacts import load
from deploy.deploy import deploy, deploy_mock_token
from deploy.parameters import load_parameters
from oracle.audit.replay import run as audit
from oracle.chain import calls
from oracle.chain.deployment import write_deployment
from oracle.chain.errors import RevertDecoder
from oracle.chain.keys import Signer, write_keystore
from oracle.chain.receipts import sign_receipt
from oracle.chain.rpc import connect
from oracle.chain.transactions import Transactor
from oracle.core.consensus import Rule
from oracle.core.facts import Batch, Role, Terms
from oracle.evaluators import calibration
from oracle.evaluators.workload import Item, Workload, write
from tests.service.anvil import Anvil

HOURS = 3600
FUNDS = 10**30  # wei of the token
GAS = 2_000_000
MINING_SECONDS = 60
MOST_FOR_GAS = 10**13  # wei a unit
PASSWORD = "correct horse battery staple"
LITTLE_WORK = 4096
SYSTEMS = ("first", "second")
PROMPTS = 2
DOMAIN = "qa"
NOBODY = "0x" + 40 * "0"


@dataclass(frozen=True, slots=True)
class Player:
    """A registered node: its id, and who acts for it."""

    node_id: int
    owner: LocalAccount
    operator: LocalAccount


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the rounds and of everything that was sent for them."""

    settled: int
    cancelled: int
    unended: int
    settlements: Counter[int]
    """Mined transactions that settled a round, by round; failed ones are in `failed`."""
    failed: Counter[str]
    """Mined transactions that reverted, by function."""
    mismatches: tuple[str, ...]
    """What the audit found wrong."""


class Stage:
    """
    `evaluators` nodes that score and two that answered prompts, below one directory.

    Every evaluator has an owner and an operator of its own. `keystores` has a file for each account
    by name: `settler-1`, `settler-2`, `evaluator-1` and so on (operators), all under one password.
    """

    def __init__(self, anvil: Anvil, directory: Path, *, evaluators: int = 3) -> None:
        self.anvil = anvil
        self.directory = directory
        self._free = iter(anvil.accounts)
        self.deployer, self.requester = next(self._free), next(self._free)
        self.settlers = (next(self._free), next(self._free))
        self.deployment = self._deployed()
        self._nonces: dict[str, int] = {}
        self._sent: dict[str, list[str]] = {}
        self._registered = 0
        self._fund(self.requester, self.deployment.rounds.address)
        self.evaluators = [self._join(Role.EVALUATOR) for _ in range(evaluators)]
        self.systems = [self._join(Role.INFERENCE) for _ in SYSTEMS]
        self.keystores = directory / "keys"
        self.password = self.keystores / "password"
        self._write_keys()
        self.workload, self.uri = self._workload()
        self.mined()

    # Acting

    def send(self, account: LocalAccount, call: calls.Call) -> str:
        """Sign and send a call, and return its hash."""
        nonce = self._nonces.setdefault(account.address, self.anvil.sent_by(account.address))
        signed = account.sign_transaction(
            {
                "to": Web3.to_checksum_address(call.to),
                "data": call.data,
                "value": 0,
                "nonce": nonce,
                "gas": GAS,
                "maxFeePerGas": MOST_FOR_GAS,
                "maxPriorityFeePerGas": 10**9,
                "chainId": self.deployment.chain_id,
            }
        )
        raw = signed.raw_transaction.to_0x_hex()
        self._sent.setdefault(account.address, []).append(raw)
        self._nonces[account.address] = nonce + 1
        sent: str = self.anvil.ask("eth_sendRawTransaction", raw)
        return sent

    def send_again(self) -> None:
        """Send what a reorganisation took from the stage, byte for byte."""
        for address, sent in self._sent.items():
            for raw in sent[self.anvil.sent_by(address) :]:
                self.anvil.ask("eth_sendRawTransaction", raw)

    def mined(self) -> None:
        """Wait until everything that the stage sent is in blocks."""
        deadline = time.monotonic() + MINING_SECONDS
        for address, nonce in self._nonces.items():
            while self.anvil.sent_by(address) < nonce:
                assert time.monotonic() < deadline, "the node mines nothing"
                time.sleep(0.005)

    def open(self, count: int = 1, **changes: Any) -> None:
        """Send what opens so many rounds."""
        terms = replace(self.terms, **changes)
        receipts = [
            sign_receipt(
                Signer(player.operator),
                self.deployment,
                batch,
                self.requester.address,
                terms.workload_hash,
            )
            for player, batch in zip(self.systems, self.batches, strict=True)
        ]
        rows = [batch.as_tuple() for batch in self.batches]
        arguments = (terms.as_tuple(), rows, receipts, self.uri)
        for _ in range(count):
            self.send(self.requester, calls.rounds(self.deployment, "open", *arguments))

    @cached_property
    def terms(self) -> Terms:
        """What is asked for: all evaluators in one panel, and pay for everybody."""
        return Terms(
            domain=DOMAIN.encode().ljust(32, b"\0"),
            rule=Rule.TRUST_WEIGHTED_MEAN,
            trim=0,
            panel_size=len(self.evaluators),
            quorum=len(self.evaluators) // 2 + 1,
            oracle=NOBODY,
            workload_hash=self.workload.hash,
            inference_budget=10**20,
            evaluator_budget=10**20,
            settlement_fee=10**18,
        )

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """What the two systems answered."""
        return tuple(
            Batch(
                player.node_id,
                player.owner.address,
                part.stop - part.start,
                part.cost,
                part.outputs_hash,
            )
            for player, part in zip(self.systems, self.workload.batches, strict=True)
        )

    # Looking

    def ended(self) -> int:
        """Return how many rounds have settled or were cancelled."""
        return len(self.logs("RoundSettled")) + len(self.logs("RoundCancelled"))

    def logs(self, event: str) -> list[Any]:
        """Return the logs of an event of the rounds contract."""
        entry: Any = next(each for each in load("QualityRounds").abi if each.get("name") == event)
        topic = "0x" + event_abi_to_log_topic(entry).hex()
        asked = {
            "address": self.deployment.rounds.address,
            "fromBlock": hex(self.deployment.start_block),
            "toBlock": "latest",
            "topics": [topic],
        }
        found: list[Any] = self.anvil.ask("eth_getLogs", asked)
        return found

    def gaps(self) -> dict[str, tuple[int, int]]:
        """Return, by the names of their keys, who has transactions that wait: nonces and pool."""
        named = {f"settler-{i}": account for i, account in enumerate(self.settlers, start=1)}
        named |= {f"evaluator-{each.node_id}": each.operator for each in self.evaluators}
        counts = {
            name: tuple(
                int(self.anvil.ask("eth_getTransactionCount", account.address, block), 16)
                for block in ("latest", "pending")
            )
            for name, account in named.items()
        }
        return {name: (mined, known) for name, (mined, known) in counts.items() if mined != known}

    def outcome(self) -> Outcome:
        """Look at every transaction and every log, and audit them."""
        settled, cancelled = self.logs("RoundSettled"), self.logs("RoundCancelled")
        opened = len(self.logs("RoundOpened"))
        failed: Counter[str] = Counter()
        for sent in self.transactions():
            receipt = self.anvil.ask("eth_getTransactionReceipt", sent["hash"])
            if receipt["status"] == "0x0":
                failed[_FUNCTIONS.get(sent["input"][:10], sent["input"][:10])] += 1
        report = audit(self.web3, self.deployment)
        return Outcome(
            settled=len(settled),
            cancelled=len(cancelled),
            unended=opened - len(settled) - len(cancelled),
            settlements=Counter(int(log["topics"][1], 16) for log in settled),
            failed=failed,
            mismatches=tuple(str(each) for each in report.mismatches),
        )

    def transactions(self) -> Iterable[Any]:
        """Yield every mined transaction."""
        for number in range(self.deployment.start_block, self.anvil.height + 1):
            yield from self.anvil.ask("eth_getBlockByNumber", hex(number), True)["transactions"]

    @cached_property
    def web3(self) -> Web3:
        """A connection for the stage's own use."""
        return connect(self.anvil.url)

    # Setting up

    def _deployed(self) -> Any:
        defaults = load_parameters("local")
        reverts = RevertDecoder(load("QualityRounds").abi, load("NodeRegistry").abi)
        transactor = Transactor(self.web3, Signer(self.deployer), reverts, timeout=60, poll=0.01)
        deployment = deploy(
            transactor,
            replace(defaults.registry, exit_delay=100 * HOURS),
            # Long enough for the slowest machine; a test that needs an end lets time pass.
            replace(
                defaults.rounds,
                commit_window=12 * HOURS,
                reveal_window=12 * HOURS,
                settle_window=12 * HOURS,
            ),
            deploy_mock_token(transactor),
        )
        write_deployment(self.directory / "deployments", deployment)
        return deployment

    def _fund(self, account: LocalAccount, spender: str) -> None:
        token = self.deployment.token
        mint = calls.encode_call("mint", ("address", "uint256"), (account.address, FUNDS))
        self.send(account, calls.Call(token, mint))
        self.send(account, calls.token(self.deployment, "approve", spender, FUNDS))

    def _join(self, role: Role) -> Player:
        owner, operator = next(self._free), next(self._free)
        self._fund(owner, self.deployment.registry.address)
        self.send(owner, calls.registry(self.deployment, "register", role, operator.address))
        self.mined()  # ids are given in the order of blocks
        self._registered += 1
        return Player(self._registered, owner, operator)

    def _write_keys(self) -> None:
        self.keystores.mkdir(mode=0o700)
        self.password.touch(mode=0o600)
        self.password.write_text(PASSWORD)
        named = {f"settler-{i}": account for i, account in enumerate(self.settlers, start=1)}
        named |= {f"evaluator-{each.node_id}": each.operator for each in self.evaluators}
        for name, account in named.items():
            write_keystore(self.keystores / name, Signer(account), PASSWORD, work=LITTLE_WORK)

    def _workload(self) -> tuple[Workload, str]:
        """Write the workload, and for each evaluator its scores and the scale that changes none."""
        random = np.random.default_rng(7)
        items = [
            Item(
                id=f"prompt-{i}",
                prompt=f"What is {i} and {i}?",
                output=f"{system} says {2 * i}.",
                node=system,
                latency_ms=100 * (i + 1),
                tokens=3,
            )
            for system in SYSTEMS
            for i in range(PROMPTS)
        ]
        directory = self.directory / "workloads"
        directory.mkdir()
        path = directory / "workload.jsonl"
        workload = Workload(DOMAIN, 1000, tuple(items), b"")
        workload = write(workload, path)
        quality = random.uniform(0.2, 0.9, len(items))
        for each in self.evaluators:
            seen = np.clip(quality + random.normal(0, 0.03, len(items)), 0, 1)
            rows = [f"{item.id},{item.node},{x:.4f}" for item, x in zip(items, seen, strict=True)]
            text = "\n".join(["id,node,score", *rows]) + "\n"
            recorded = self.directory / f"scores-{each.node_id}.csv"
            recorded.write_text(text)
            plain = calibration.Calibration(
                evaluator=f"recorded:{recorded.name}",
                domain=DOMAIN,
                workload=workload.hash.hex(),
                items=calibration.MIN_ITEMS,
                error_before=0.0,
                error_after=0.0,
                raw=(0.0, 1.0),
                calibrated=(0.0, 1.0),
            )
            calibration.save(plain, self.directory / f"calibration-{each.node_id}.json")
        return workload, path.as_uri()

    def environment(self) -> dict[str, str]:
        """Return what the services find in their environment, besides this process's path."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.directory),
            "ETH_RPC_URL": self.anvil.url,
            "ETH_KEYSTORE": str(self.keystores),
            "ETH_PASSWORD": str(self.password),
            "POQ_DEPLOYMENTS": str(self.directory / "deployments"),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }


def _selectors() -> dict[str, str]:
    functions: list[Any] = [
        entry
        for contract in ("QualityRounds", "NodeRegistry")
        for entry in load(contract).abi
        if entry["type"] == "function"
    ]
    return {"0x" + function_abi_to_4byte_selector(each).hex(): each["name"] for each in functions}


_FUNCTIONS = _selectors()
