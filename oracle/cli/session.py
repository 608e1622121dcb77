"""
One command's connection: a node, a deployment that is really there, and perhaps a key.

This module decides what is checked before a command starts, how consent is asked, that a token is
approved to the wei where a call pulls it, and how a verdict of the core ends a command.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from oracle.chain import calls
from oracle.chain.deployment import Deployment, read_deployment
from oracle.chain.logs import EventDecoder, Log
from oracle.chain.rounds import RoundHistory, round_history
from oracle.chain.rpc import connect
from oracle.chain.state import State
from oracle.chain.transactions import Transactor
from oracle.cli.amounts import tokens
from oracle.cli.exits import Exit, Stop
from oracle.cli.options import Reading, Signing, Writing
from oracle.cli.output import Output
from oracle.cli.signing import address_of, signer_of
from oracle.core.facts import Phase, RoundState
from oracle.core.phases import Verdict

if TYPE_CHECKING:
    from web3 import Web3
    from web3.types import TxReceipt

    from oracle.chain.errors import RevertDecoder

ATTEMPTS = 3
"""How often a node is asked before somebody who waits is told that it does not answer."""
LOCAL_CHAINS = frozenset({1337, 31337})
"""Chains on one's own machine: nothing there is worth a question."""


class Session:
    """Reads a deployment. `state` is of the block that was the latest at the first look."""

    def __init__(self, options: Reading) -> None:
        self.options = options
        self.output: Output = options.output()
        self.web3: Web3 = connect(
            options.rpc_url, agree=options.agree, chain_id=options.chain, attempts=ATTEMPTS
        )
        self.chain_id = self.web3.eth.chain_id
        self.deployment: Deployment = read_deployment(options.deployments, self.chain_id)
        self._check_code()

    @cached_property
    def state(self) -> State:
        """Both contracts."""
        return State(self.web3, self.deployment)

    @property
    def now(self) -> int:
        """The second that a transaction sent now would be mined in, as far as the node can tell."""
        return int(self.web3.eth.get_block("pending")["timestamp"])

    def round(self, round_id: int) -> RoundState:
        """Return where a round stands; raise `Stop` if it was never opened."""
        count = self.state.round_count()
        if not 1 <= round_id <= count:
            raise Stop(Exit.USAGE, f"There is no round {round_id}: {count} were opened so far.")
        return self.state.round(round_id)

    def drawn_round(self, round_id: int) -> RoundState:
        """Return a round with a panel, running; raise `Stop` for any other."""
        found = self.round(round_id)
        if found.phase is Phase.OPEN:
            raise Stop(Exit.NOTHING_YET, f"Round {round_id} has no panel yet: draw it first.")
        if found.phase is Phase.CLOSED:
            raise Stop(Exit.REVERTED, f"Round {round_id} is closed.")
        return found

    def history(self, round_id: int) -> RoundHistory:
        """Return a round as its logs tell it."""
        return round_history(self.web3, self.deployment, round_id, self.state.block)

    def balance(self, account: str) -> int:
        """Return what an account has of the token, wei."""
        return self._token("balanceOf", account)

    def allowance(self, owner: str, spender: str) -> int:
        """Return what `spender` may take of the owner's tokens, wei."""
        return self._token("allowance", owner, spender)

    def _token(self, function: str, *arguments: str) -> int:
        call = calls.token(self.deployment, function, *arguments)
        answer = self.web3.eth.call(
            {"to": self.web3.to_checksum_address(call.to), "data": _hex(call.data)}
        )
        return int.from_bytes(answer)

    def _check_code(self) -> None:
        from eth_utils import keccak

        for contract in (self.deployment.registry, self.deployment.rounds):
            code = self.web3.eth.get_code(self.web3.to_checksum_address(contract.address))
            if keccak(bytes(code)) != contract.code_hash:
                found = "other code" if code else "no code"
                raise Stop(
                    Exit.UNSAFE_CHAIN,
                    f"There is {found} at {contract.address} on chain {self.chain_id} than "
                    f"{self.options.deployments} says: the chain was reset, or it is another one.",
                )


class Writer(Session):
    """A session with a key that signs and sends."""

    def __init__(self, options: Writing) -> None:
        self.signer = signer_of(options, options.output())
        super().__init__(options)
        self.address = self.signer.address
        self.transactor = Transactor(
            self.web3,
            self.signer,
            reverts(),
            dry_run=options.dry_run,
            confirmations=options.confirmations,
        )
        self._writing = options

    def consent(self, question: str) -> None:
        """Ask before what costs money or cannot be undone, where that is worth a question."""
        ask(question, self.chain_id, self._writing)

    def send(self, call: calls.Call, done: str) -> TxReceipt | None:
        """Send a call and say that it is `done`; in a dry run, try it and say so."""
        receipt = self.transactor.transact(
            call.to,
            call.data,
            journal=lambda signed: self.output.detail(f"Sending 0x{signed.hash.hex()}."),
        )
        if receipt is None:
            self.output.say(f"Dry run, nothing is sent. It would succeed: {done}.")
        else:
            self.output.say(f"{done} (0x{receipt['transactionHash'].hex()}).")
            self.output.detail(f"Block {receipt['blockNumber']}, {receipt['gasUsed']:,} gas.")
        return receipt

    def pay(self, call: calls.Call, amount: int, done: str) -> TxReceipt | None:
        """Send a call that pulls `amount` of the token, approved to the wei if it is not yet."""
        self.require_balance(amount)
        if self.allowance(self.address, call.to) < amount:
            approval = calls.token(self.deployment, "approve", call.to, amount)
            if self.send(approval, f"{tokens(amount)} tokens approved for {call.to}") is None:
                self.output.say("The rest cannot be tried before that approval.")
                return None
        return self.send(call, done)

    def require_balance(self, amount: int) -> None:
        """Return if the signer has so much of the token, wei; raise `Stop` otherwise."""
        balance = self.balance(self.address)
        if balance < amount:
            raise Stop(
                Exit.KEY,
                f"{self.address} has {tokens(balance)} tokens, and {tokens(amount)} are needed.",
            )

    def event(self, receipt: TxReceipt, contract: str, name: str) -> dict[str, Any]:
        """Return the arguments of the event that a transaction of this session just caused."""
        from deploy.artifacts import load

        decoder = EventDecoder(load(contract).abi)
        for raw in receipt["logs"]:
            event = decoder.decode(
                Log(
                    address=raw["address"],
                    topics=tuple(map(bytes, raw["topics"])),
                    data=bytes(raw["data"]),
                    block_number=raw["blockNumber"],
                    block_hash=bytes(raw["blockHash"]),
                    transaction_hash=bytes(raw["transactionHash"]),
                    log_index=raw["logIndex"],
                )
            )
            if event is not None and event.name == name:
                return event.args
        raise Stop(Exit.RPC, f"The node's receipt has no {name} log.")

    def account(self, text: str | None) -> str:
        """Return the account that `text` is or names, by default the signer's own."""
        return self.address if text is None else address_of(text, self._writing.keystore)


def signing_session(options: Signing) -> tuple[Session, Any]:
    """Return a session and a signer for a command that signs, but sends nothing."""
    signer = signer_of(options, options.output())
    return Session(options), signer


def reverts() -> RevertDecoder:
    """Return the decoder of everything that the contracts and a common token may refuse with."""
    from deploy.artifacts import load
    from deploy.mock_token import mock_token
    from oracle.chain.errors import RevertDecoder

    return RevertDecoder(load("QualityRounds").abi, load("NodeRegistry").abi, mock_token().abi)


def ask(question: str, chain_id: int, options: Writing) -> None:
    """Return if the answer is yes, or need not be asked for; raise `Stop` otherwise."""
    if options.yes or options.dry_run or chain_id in LOCAL_CHAINS:
        return
    if not sys.stdin.isatty():
        raise Stop(Exit.USAGE, f"{question} Nobody is there to answer: say --yes.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Stop(Exit.USAGE, "Nothing was sent.")


def require(verdict: Verdict, action: str) -> None:
    """Return if the core allows it; end the command with not yet, or with never."""
    if not verdict.allowed:
        later = verdict.opens_at is not None
        raise Stop(Exit.NOTHING_YET if later else Exit.REVERTED, f"{action}: {verdict.reason}.")


def _hex(data: bytes) -> Any:
    from hexbytes import HexBytes

    return HexBytes(data)
