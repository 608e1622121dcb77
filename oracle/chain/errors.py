"""
What a revert means, in a sentence.

This module decides the words. A contract reverts with a selector and arguments; the ABI gives them
names, and the table below a sentence that says what is wrong and, where there is one, what to do. A
test holds the table to the ABI of the contracts: an error without a sentence fails it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils import function_signature_to_4byte_selector, to_checksum_address
from eth_utils.abi import collapse_if_tuple

PHASES = ("not opened", "open", "drawn", "closed")
"""The words for the members of the contract's `Phase`, in its order."""

SENTENCES: dict[str, str] = {
    # Nodes
    "ExitDelayed": "Node {nodeId}'s stake stays locked until {exitableAt} (unix time).",
    "InvalidReceipt": "The receipt of node {nodeId} is not signed by its operator for this batch.",
    "InvalidRole": "A node is an evaluator or an inference node; there is no such role.",
    "NodeLeft": "Node {nodeId} has left the registry for good.",
    "NodeNotLeft": "Node {nodeId} has to leave before its stake can be withdrawn.",
    "NotInferenceNode": "Node {nodeId} is not an active inference node of {owner}.",
    "NotOwner": "Only the owner of node {nodeId} may do this, and {caller} is not.",
    "NotRounds": "Only the rounds contract may do this; {caller} is not it.",
    "NothingDue": "There is nothing to pay, withdraw or sweep.",
    "ReceiptCountMismatch": "There are {receipts} receipts for {batches} batches.",
    "TooFewEvaluators": "{found} evaluators can be drawn, and the panel has {panelSize} seats.",
    "UnknownNode": "There is no node {nodeId}.",
    "ZeroOperator": "The zero address cannot be an operator.",
    # Opening a round
    "CostAboveOne": "The cost of batch {index} is {cost}, above the whole (10000).",
    "EmptyBatch": "Batch {index} has no items.",
    "EvaluatorBudgetTooSmall": (
        "The evaluator budget of {budget} is below the least pay for this round, {least}."
    ),
    "InvalidBatchCount": "A round has 1 to 32 batches, not {count}.",
    "InvalidPanelSize": "A panel has 3 to 31 seats, not {panelSize}.",
    "InvalidQuorum": (
        "The quorum of {panelSize} seats is more than half and at most all of them, not {quorum}."
    ),
    "InvalidTrim": (
        "The trim is below one half (5000) and only for the trimmed mean; it was {trim}."
    ),
    "RoundTooLarge": (
        "{items} items for {panelSize} seats are more than one settlement can carry."
    ),
    # The draw
    "DrawPending": "The panel can be drawn until block {lastBlock}; cancelling has to wait.",
    "DrawTooEarly": "The panel can be drawn only after block {drawBlock}.",
    "DrawTooLate": (
        "The hash of block {drawBlock} is forgotten: the round cannot be drawn, only cancelled."
    ),
    # Commitments and reveals
    "AlreadyCommitted": "Seat {seat} has committed already.",
    "AlreadyRevealed": "Seat {seat} is revealed on chain already.",
    "CommitsClosed": "Commits closed at {closedAt} (unix time).",
    "CommitsOpen": "Seats may commit until {closesAt} (unix time); nothing can be revealed before.",
    "NotCommitted": "Seat {seat} did not commit.",
    "NotOperator": "Only the operator of node {nodeId} may do this, and {caller} is not.",
    "RevealsClosed": "Reveals closed at {closedAt} (unix time).",
    "ScoreAboveOne": "A revealed score is above the whole (10000).",
    "UnknownSeat": "The round has no seat {seat}.",
    "WrongLength": "{length} bytes were given where the round needs {expected}.",
    "ZeroCommitment": "A commitment cannot be zero.",
    # Settling and cancelling
    "HistoryMismatch": (
        "What was said of the round's past hashes to {replayed}, but its digest is {digest}."
    ),
    "NotCancellable": (
        "The round cannot be cancelled: {revealed} seats are revealed, "
        "and the earliest time would be {cancellableAt} (unix time)."
    ),
    "OracleOnly": "Until {until} (unix time) only the round's oracle {oracle} may settle.",
    "QuorumMissing": "{revealed} seats are revealed, and the quorum is {quorum}.",
    "SeatMissing": "Seat {seat} has to be in the settlement and is left out.",
    "WrongConsensus": "The consensus is wrong in item {firstItem} or the fifteen after it.",
    "WrongPhase": "Round {roundId} is {phase}, not in the phase that this needs.",
    # Deployment and the tools built upon
    "CheckpointUnorderedInsertion": "The registry's history was written out of order.",
    "ECDSAInvalidSignature": "The signature is not valid.",
    "ECDSAInvalidSignatureLength": "The signature has {length} bytes instead of 65.",
    "ECDSAInvalidSignatureS": "The signature's s value is not in the lower half.",
    "ERC20InsufficientAllowance": (
        "{spender} may spend {allowance} of the token, and {needed} are needed: approve first."
    ),
    "ERC20InsufficientBalance": "{sender} has {balance} of the token, and {needed} are needed.",
    "ERC20InvalidApprover": "{approver} cannot approve spending.",
    "ERC20InvalidReceiver": "{receiver} cannot receive the token.",
    "ERC20InvalidSender": "{sender} cannot send the token.",
    "ERC20InvalidSpender": "{spender} cannot be approved.",
    "ERC2612ExpiredSignature": "The permit expired at {deadline} (unix time).",
    "ERC2612InvalidSigner": "The permit was signed by {signer}, not by {owner}.",
    "InvalidAccountNonce": "The signature is used or stale: {account} is at nonce {currentNonce}.",
    "InvalidParameter": "The deployment parameter {name} makes no sense.",
    "InvalidShortString": "A stored short string is malformed.",
    "SafeCastOverflowedUintDowncast": "{value} does not fit in {bits} bits.",
    "SafeERC20FailedOperation": "The token {token} refused a transfer: check balance and approval.",
    "StringTooLong": "The string {str} is too long.",
    "TransferShortfall": "The token delivered {received} of {expected}: it takes a fee.",
    # Solidity's own
    "Error": "{reason}",
    "Panic": "The contract hit the internal error {code}.",
}

_SOLIDITY = (
    {"type": "error", "name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


class Reverted(Exception):
    """
    The contract refuses. `name` is the ABI's, or empty if the data fits no error that is known.

    `arguments` are by name, addresses checksummed; `sentence` is for people.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], sentence: str) -> None:
        super().__init__(sentence)
        self.name = name
        self.arguments = dict(arguments)
        self.sentence = sentence


class RevertDecoder:
    """Turn revert data into `Reverted` by the errors of one or more ABIs."""

    def __init__(self, *abis: Sequence[Mapping[str, Any]]) -> None:
        self._errors = {
            function_signature_to_4byte_selector(_signature(entry)): entry
            for abi in (_SOLIDITY, *abis)
            for entry in abi
            if entry["type"] == "error"
        }

    def decode(self, data: bytes, message: str = "") -> Reverted:
        """Return what `data` means; `message` is what the node said, for want of anything else."""
        entry = self._errors.get(data[:4])
        if entry is None:
            reason = f"with the unknown error 0x{data.hex()}" if data else "without a reason"
            return Reverted("", {}, message or f"The call reverted {reason}.")
        fields = entry["inputs"]
        try:
            values = decode([collapse_if_tuple(dict(field)) for field in fields], data[4:])
        except DecodingError:
            return Reverted("", {}, f"The call reverted with malformed data 0x{data.hex()}.")
        arguments = {
            field["name"]: to_checksum_address(value) if field["type"] == "address" else value
            for field, value in zip(fields, values, strict=True)
        }
        return Reverted(entry["name"], arguments, sentence(entry["name"], arguments))


def sentence(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the sentence of error `name`; one made of its name and arguments if none is known."""
    template = SENTENCES.get(name)
    if template is None:
        return f"The contract refuses: {name}({', '.join(map(str, arguments.values()))})."
    return template.format_map({key: _readable(key, value) for key, value in arguments.items()})


def _signature(entry: Mapping[str, Any]) -> str:
    kinds = ",".join(collapse_if_tuple(dict(field)) for field in entry["inputs"])
    return f"{entry['name']}({kinds})"


def _readable(key: str, value: Any) -> str:
    if key == "phase" and value < len(PHASES):
        return PHASES[value]
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        return text.decode() if text.isascii() and text.isalnum() else "0x" + value.hex()
    return str(value)
