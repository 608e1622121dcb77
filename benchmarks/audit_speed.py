"""
How fast an audit is: over RPC from anvil, and from an exported file of a million logs.

The chain is real (`audit_chain`): contracts, transactions, blocks of many logs. Its audit reads all
logs and all storage and replays everything; the peers only read and decode. The file is of a
deployment that `audit_logs` builds from the core; it is kept in `build/benchmarks` until the core
changes. Its audit runs in a process of its own, whose memory is measured. Seconds are of the clock;
on a machine that does much else, the rates by processor time say more, and are rows too. anvil
comes with `npm install @foundry-rs/anvil`; without it the rows over RPC are left out, and one says
so.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from eth_abi import decode
from eth_utils.abi import collapse_if_tuple
from web3 import Web3

import oracle.core
from benchmarks.audit_chain import AnvilChain, chain, has_anvil
from benchmarks.audit_logs import Deployed
from benchmarks.rows import Row
from deploy.artifacts import load
from oracle.audit.bulk_columns import NotPlain
from oracle.audit.export import FileSource, write
from oracle.audit.fetch import Fetcher
from oracle.audit.replay import audit_in_bulk
from oracle.audit.sources import ChainSource
from oracle.chain.logs import EventDecoder, Log

LOGS = 1_000_000
LOGS_OVER_RPC = 20_000
DECODED = 20_000
"""Logs that the peers decode: enough to time them."""
TAMPERINGS = 10_000
PORT = 18_745
OVER_RPC, TIMES_WEB3, FROM_FILE, MEGABYTES = 16_667, 10, 200_000, 500
BUILD = Path("build/benchmarks")
_AUDIT = """
import json, resource, sys, time
from pathlib import Path
from oracle.audit.export import FileSource
from oracle.audit.replay import audit_in_bulk
began, worked = time.perf_counter(), time.process_time()
report = audit_in_bulk(FileSource(Path(sys.argv[1])))
print(json.dumps({
    "logs": sum(report.logs.values()),
    "right": report.right,
    "seconds": time.perf_counter() - began,
    "work": time.process_time() - worked,
    "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measure() -> list[Row]:
    """Return all rows."""
    return [*_over_rpc(), *_from_file(), _tampering()]


def _over_rpc() -> list[Row]:
    if not has_anvil():
        return [Row("anvil is not installed: nothing is measured over RPC", 0, "logs/s")]
    with chain(LOGS_OVER_RPC, PORT) as made:
        source = ChainSource(made.web3, made.deployment)
        report, seconds, work = _timed(lambda: audit_in_bulk(source))
        logs = sum(report.logs.values())
        last = source.reader.block
        fetcher = Fetcher(made.web3, made.deployment)
        first = made.deployment.start_block
        _, reading, reading_work = _timed(lambda: sum(1 for _ in fetcher.chunks(first, last)))
        decoded, waited, worked = _timed(lambda: _by_web3(made, last))
    peer, peer_work = decoded / waited, decoded / worked
    rate, ratio = logs / seconds, logs / seconds / peer
    name = f"web3.py get_logs + process_log of {decoded:,}"
    return [
        Row(
            "whole audit over RPC",
            rate,
            "logs/s",
            name,
            peer,
            ratio,
            f"≥ {OVER_RPC:,} and ≥ {TIMES_WEB3} × web3.py",
            rate >= OVER_RPC and ratio >= TIMES_WEB3,
        ),
        _beside("whole audit over RPC, by processor time", logs / work, name, peer_work),
        _beside("reading alone over RPC", logs / reading, name, peer),
        _beside("reading alone over RPC, by processor time", logs / reading_work, name, peer_work),
    ]


def _beside(name: str, value: float, peer: str, peer_value: float) -> Row:
    """Return a row of logs a second beside a peer's."""
    return Row(name, value, "logs/s", peer, peer_value, value / peer_value)


def _by_web3(made: AnvilChain, last: int) -> int:
    """Read and decode with web3.py; return how many logs."""
    web3, deployment = made.web3, made.deployment
    events: dict[bytes, Any] = {}
    for name, contract in (
        ("NodeRegistry", deployment.registry),
        ("QualityRounds", deployment.rounds),
    ):
        built: Any = web3.eth.contract(
            address=Web3.to_checksum_address(contract.address), abi=load(name).abi
        )
        for topic, event in EventDecoder(load(name).abi).names.items():
            events[topic] = built.events[event]()
    count, block = 0, deployment.start_block
    while block <= last and count < DECODED:
        # A range that web3.py can hold; the node is asked in ranges as well.
        until = min(block + 99, last)
        found = web3.eth.get_logs(
            {
                "address": [deployment.registry.address, deployment.rounds.address],  # type: ignore[typeddict-item]
                "fromBlock": block,
                "toBlock": until,
            }
        )
        for log in found:
            events[bytes(log["topics"][0])].process_log(log)
        count += len(found)
        block = until + 1
    return count


def _core() -> str:
    """What the core is, so that no file of other rules is taken for one of these."""
    sources = sorted(Path(oracle.core.__file__).parent.glob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:8]


def _from_file() -> list[Row]:
    path = BUILD / f"audit-{LOGS}-{_core()}.zip"
    if not path.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        made = Deployed()
        write(path, made.deployment, made.tables(LOGS), lambda draft: made.answers())
    ran = subprocess.run(
        [sys.executable, "-c", _AUDIT, str(path)], check=True, capture_output=True, text=True
    )
    found = json.loads(ran.stdout)
    assert found["right"] and found["logs"] >= LOGS
    rate, work = found["logs"] / found["seconds"], found["logs"] / found["work"]
    peers = _decoding(path)
    by_abi, by_web3 = peers["eth_abi"], peers["web3"]
    return [
        Row(
            f"whole audit of {found['logs']:,} logs from a file",
            rate,
            "logs/s",
            goal=f"≥ {FROM_FILE:,}",
            ok=rate >= FROM_FILE,
        ),
        _beside("the same, by processor time", work, "eth_abi decoding alone", by_abi),
        _beside("the same, by processor time", work, "web3.py process_log alone", by_web3),
        Row(
            f"memory for {found['logs']:,} logs",
            found["megabytes"],
            "MB",
            goal=f"≤ {MEGABYTES}",
            ok=found["megabytes"] <= MEGABYTES,
        ),
        _beside("strict decoding alone, by processor time", peers["own"], "eth_abi", by_abi),
    ]


def _decoding(path: Path) -> dict[str, float]:
    """Return the logs a second of processor time that decoders take apart, of the same logs."""
    source = FileSource(path)
    logs: list[Log] = []
    for table in source.tables():
        logs += table.logs()
        if len(logs) >= DECODED:
            break
    contracts = {
        source.deployment.registry.address: "NodeRegistry",
        source.deployment.rounds.address: "QualityRounds",
    }
    logs = [log for log in logs if log.address in contracts][:DECODED]
    own = {address: EventDecoder(load(name).abi) for address, name in contracts.items()}
    kinds: dict[bytes, tuple[list[str], list[str]]] = {}
    events: dict[bytes, Any] = {}
    for address, name in contracts.items():
        built: Any = Web3().eth.contract(
            address=Web3.to_checksum_address(address), abi=load(name).abi
        )
        entries = {each["name"]: each for each in load(name).abi if each["type"] == "event"}
        for topic, event in own[address].names.items():
            fields = entries[event]["inputs"]
            kinds[topic] = (
                [collapse_if_tuple(each) for each in fields if each["indexed"]],
                [collapse_if_tuple(each) for each in fields if not each["indexed"]],
            )
            events[topic] = built.events[event]()

    def by_abi() -> None:
        for log in logs:
            indexed, plain = kinds[log.topics[0]]
            for kind, topic in zip(indexed, log.topics[1:], strict=True):
                decode([kind], topic)
            decode(plain, log.data)

    def by_web3() -> None:
        for log in logs[: DECODED // 10]:
            receipt: Any = {
                "address": log.address,
                "topics": log.topics,
                "data": log.data,
                "blockNumber": log.block_number,
                "blockHash": log.block_hash,
                "transactionHash": log.transaction_hash,
                "transactionIndex": 0,
                "logIndex": log.log_index,
            }
            events[log.topics[0]].process_log(receipt)

    def by_us() -> None:
        for log in logs:
            own[log.address].decode(log)

    return {
        "own": len(logs) / _timed(by_us)[2],
        "eth_abi": len(logs) / _timed(by_abi)[2],
        "web3": len(logs[: DECODED // 10]) / _timed(by_web3)[2],
    }


def _tampering() -> Row:
    """Tamper with one log of a real deployment, in every way, again and again."""
    from tests.audit.conftest import Given, play, record
    from tests.audit.tampering import UNKNOWABLE, WAYS, tamperable

    recorded = record(play())
    kind_of = tamperable(recorded.deployment, recorded.logs)
    rng = random.Random(10)
    tried = detected = 0
    while tried < TAMPERINGS:
        tamper, index = rng.choice(WAYS), rng.choice(list(kind_of))
        if (tamper, kind_of[index]) == UNKNOWABLE:
            continue
        tried += 1
        try:
            audit_in_bulk(Given(recorded, tamper(recorded.logs, index, rng)))
        except NotPlain:
            detected += 1
    return Row(
        f"logs tampered with that were noticed, of {tried:,}",
        detected,
        "logs",
        goal="all",
        ok=detected == tried,
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what some work gives, its seconds, and those of this process."""
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - began, time.process_time() - worked
