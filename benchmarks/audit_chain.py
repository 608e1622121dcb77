"""
Real rounds on a real node: anvil, with the contracts, driven as fast as it goes.

Transactions are sent in batches from accounts that anvil impersonates, a wave of rounds at a time,
many to a block; only receipts are signed, since the contract checks them. The facts are kept by
`oracle.core`, and whatever it gets wrong reverts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from web3 import Web3

from deploy.artifacts import load
from deploy.deploy import deploy, deploy_mock_token
from deploy.parameters import load_parameters
from oracle.chain import calls
from oracle.chain.batches import Refusal, ask
from oracle.chain.calls import Call
from oracle.chain.devnet import accounts
from oracle.chain.devnet_server import serve_anvil
from oracle.chain.errors import RevertDecoder
from oracle.chain.keys import Signer
from oracle.chain.receipts import sign_receipt
from oracle.chain.rpc import connect
from oracle.chain.transactions import Transactor
from oracle.core.commitment import commitment, derive_salt
from oracle.core.consensus import Rule
from oracle.core.facts import (
    Batch,
    Commit,
    Draw,
    DrawnRound,
    Opening,
    Reveal,
    RoundKey,
    Seat,
    Terms,
)
from oracle.core.keccak import keccak
from oracle.core.panel import draw_panel, draw_seed
from oracle.core.settlement import settle
from oracle.core.units import ONE, TRUST_ONE, pack
from oracle.core.words import account, word

EVALUATORS, PANEL, ITEMS, BATCHES = 24, 11, 20, 4
CONCURRENT = 16
FUNDS = 10**30
GAS = hex(15_000_000)
DOMAIN = b"qa".ljust(32, b"\0")
ANVIL = Path("node_modules/@foundry-rs/anvil-linux-amd64/bin")
"""Where `npm install @foundry-rs/anvil` puts the binary; `PATH` comes first."""


def has_anvil() -> bool:
    """Return whether anvil is installed, on `PATH` or by npm in this checkout."""
    os.environ["PATH"] += os.pathsep + str(ANVIL.resolve())
    return shutil.which("anvil") is not None


@contextmanager
def chain(logs: int, port: int) -> Iterator[AnvilChain]:
    """Yield a deployment on a fresh anvil with at least so many logs."""
    with serve_anvil(port=port) as url:
        web3 = _patiently(url)
        made = AnvilChain(web3)
        while made.logs < logs:
            made.wave()
        yield made


class AnvilChain:
    """The contracts with their nodes; `logs` counts those of both contracts and the token."""

    def __init__(self, web3: Web3) -> None:
        self.web3 = web3
        self.signers = [Signer(each) for each in accounts(2 * EVALUATORS)]
        transactor = Transactor(
            web3,
            self.signers[0],
            RevertDecoder(load("QualityRounds").abi, load("NodeRegistry").abi),
            poll=0.01,
        )
        parameters = load_parameters("local")
        token = deploy_mock_token(transactor)
        self.deployment = deploy(transactor, parameters.registry, parameters.rounds, token)
        self.rng = np.random.default_rng(0)
        self.trusts: dict[int, int] = {}
        self.nonces: dict[str, int] = {}
        self.places: list[int] = []
        self.rounds = self.logs = 0
        self._rpc("anvil_autoImpersonateAccount", True)
        self._rpc("evm_setAutomine", False)
        self._rpc("evm_setBlockGasLimit", hex(10**10))
        self.requester = self.signers[1].address
        self.settler = self.signers[2].address
        self.owners = [
            account(keccak(b"owner" + word(i))[:20]) for i in range(EVALUATORS + BATCHES)
        ]
        for owner in (*self.owners, *(signer.address for signer in self.signers)):
            self._rpc("anvil_setBalance", owner, hex(10**22))
        self._fund([(self.requester, self.deployment.rounds.address)])
        self._fund([(owner, self.deployment.registry.address) for owner in self.owners])
        self._send(
            (
                owner,
                calls.registry(
                    self.deployment,
                    "register",
                    1 if i < EVALUATORS else 2,
                    self.signers[2 + i % 40].address,
                ),
            )
            for i, owner in enumerate(self.owners)
        )

    def wave(self) -> None:
        """Run some rounds at the same time, from opening to settlement."""
        ids = range(self.rounds + 1, self.rounds + CONCURRENT + 1)
        self.rounds += CONCURRENT
        openings = self._open()
        self._rpc("evm_mine")
        facts = self._draw(ids, openings)
        quality = self.rng.integers(0, ONE + 1, (CONCURRENT, 1, ITEMS))
        noise = self.rng.integers(-800, 801, (CONCURRENT, PANEL, ITEMS))
        scores = np.clip(quality + noise, 0, ONE).astype(np.uint16)
        whole = []
        for each, matrix in zip(facts, scores, strict=True):
            reveals = [self._reveal(each, seat, row) for seat, row in enumerate(matrix)]
            whole.append((each, reveals))
        now = self._send(
            (self._operator(each, reveal.seat), self._commit(each, reveal))
            for each, reveals in whole
            for reveal in reveals
        )
        settled, places = [], iter(list(self.places))
        for each, reveals in whole:
            ordered = sorted(reveals, key=lambda reveal: next(places))
            commits = tuple(
                Commit(reveal.seat, now, self._hashed(each, reveal)) for reveal in ordered
            )
            done = replace(each, commits=commits)
            result = settle(done, self.deployment.rounds_parameters, reveals)
            panel = [seat.node_id for seat in each.draw.panel]
            current = {node: self.trusts.get(node, TRUST_ONE) for node in panel}
            trust = self.deployment.registry_parameters.trust
            self.trusts |= result.new_trusts(trust, current)
            settled.append(
                (self.settler, calls.rounds(self.deployment, "settle", *result.arguments()))
            )
        self._send(settled)

    def _open(self) -> list[Opening]:
        sent, openings = [], []
        block = int(self.web3.eth.block_number) + 1
        for i in range(self.rounds - CONCURRENT + 1, self.rounds + 1):
            workload = keccak(b"workload" + word(i))
            terms = Terms(
                DOMAIN,
                Rule.TRUST_WEIGHTED_MEAN,
                0,
                PANEL,
                PANEL // 2 + 1,
                "0x" + 40 * "0",
                workload,
                100 * 10**18,
                100 * 10**18,
                10**18,
            )
            batches = tuple(
                Batch(
                    EVALUATORS + 1 + b,
                    self.owners[EVALUATORS + b],
                    ITEMS // BATCHES,
                    int(self.rng.integers(0, ONE // 2)),
                    keccak(b"outputs" + word(i) + word(b)),
                )
                for b in range(BATCHES)
            )
            receipts = [
                sign_receipt(
                    self.signers[2 + (batch.node_id - 1) % 40],
                    self.deployment,
                    batch,
                    self.requester,
                    workload,
                )
                for batch in batches
            ]
            rows = [batch.as_tuple() for batch in batches]
            uri = f"ipfs://workload/{i:012}"
            call = calls.rounds(self.deployment, "open", terms.as_tuple(), rows, receipts, uri)
            sent.append((self.requester, call))
            delay = self.deployment.rounds_parameters.draw_delay
            openings.append(
                Opening(self.requester, block + delay, terms, batches, keccak(uri.encode()))
            )
        self._send(sent)
        return openings

    def _draw(self, ids: Sequence[int], openings: list[Opening]) -> list[DrawnRound]:
        contract = self.deployment.rounds.address
        panels = []
        for round_id, opening in zip(ids, openings, strict=True):
            block_hash = bytes(self.web3.eth.get_block(opening.draw_block)["hash"])
            seed = draw_seed(block_hash, contract, round_id)
            places = draw_panel(seed, EVALUATORS, PANEL, lambda place: False)
            panel = tuple(
                Seat(at + 1, self.owners[at], self.trusts.get(at + 1, TRUST_ONE)) for at in places
            )
            panels.append((seed, panel))
        now = self._send(
            (
                self.settler,
                calls.rounds(self.deployment, "draw", round_id, opening.as_tuple()),
            )
            for round_id, opening in zip(ids, openings, strict=True)
        )
        return [
            DrawnRound(
                RoundKey(self.deployment.chain_id, contract, round_id),
                opening,
                Draw(now, seed, panel),
                (),
                0,
            )
            for round_id, opening, (seed, panel) in zip(ids, openings, panels, strict=True)
        ]

    def _operator(self, facts: DrawnRound, seat: int) -> str:
        return self.signers[2 + (facts.draw.panel[seat].node_id - 1) % 40].address

    def _reveal(self, facts: DrawnRound, seat: int, scores: Any) -> Reveal:
        node_id = facts.draw.panel[seat].node_id
        return Reveal(seat, derive_salt(keccak(word(node_id)), facts.key, node_id), pack(scores))

    def _hashed(self, facts: DrawnRound, reveal: Reveal) -> bytes:
        node_id = facts.draw.panel[reveal.seat].node_id
        return commitment(facts.key, node_id, reveal.salt, reveal.scores)

    def _commit(self, facts: DrawnRound, reveal: Reveal) -> Call:
        hashed = self._hashed(facts, reveal)
        return calls.rounds(self.deployment, "commit", facts.key.round_id, reveal.seat, hashed)

    def _fund(self, pairs: Sequence[tuple[str, str]]) -> None:
        token = self.deployment.token
        for owner, spender in pairs:
            mint = calls.encode_call("mint", ("address", "uint256"), (owner, FUNDS))
            approve = calls.token(self.deployment, "approve", spender, FUNDS)
            self._send([(owner, Call(token, mint)), (owner, approve)])

    def _send(self, sent: Any) -> int:
        """Send calls in one block; return its second. Raises unless all succeed."""
        requests: list[tuple[str, list[Any]]] = []
        for sender, call in sent:
            # anvil answers the requests of a batch at once, so that nonces have to be given.
            if sender not in self.nonces:
                self.nonces[sender] = int(
                    self._rpc("eth_getTransactionCount", sender, "latest"), 16
                )
            transaction = {
                "from": sender,
                "to": call.to,
                "data": "0x" + call.data.hex(),
                "gas": GAS,
                "nonce": hex(self.nonces[sender]),
            }
            self.nonces[sender] += 1
            requests.append(("eth_sendTransaction", [transaction]))
        hashes = list(ask(self.web3, requests))
        if refused := [each for each in hashes if isinstance(each, Refusal)]:
            raise RuntimeError(f"a transaction is refused: {refused[0]}")
        self._rpc("evm_mine")
        self.places = []
        for receipt in ask(self.web3, [("eth_getTransactionReceipt", [each]) for each in hashes]):
            if not isinstance(receipt, dict) or int(receipt["status"], 16) != 1:
                raise RuntimeError(f"a transaction failed: {receipt}")
            self.logs += len(receipt["logs"])
            self.places.append(int(receipt["transactionIndex"], 16))
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def _rpc(self, method: str, *params: Any) -> Any:
        [answer] = ask(self.web3, [(method, list(params))])
        if isinstance(answer, Refusal):
            raise RuntimeError(f"{method}: {answer}")
        return answer


def _patiently(url: str) -> Web3:
    web3 = connect(url, attempts=6, timeout=300)
    while not web3.is_connected():
        pass
    return web3
