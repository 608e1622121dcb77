"""
A network of real services on one machine, from prompts to payouts.

Two language models answer prompts behind HTTP, a requester pays for having the answers judged,
evaluators score them, an oracle settles, and everything is read back from the chain. Each of them
is a process of its own that runs the command an operator would run. This module starts them, asks,
waits and ends them; it plays nobody's part.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from oracle.audit.record import Records, RoundRecord
from oracle.audit.replay import run as audit
from oracle.audit.report import Report
from oracle.chain import calls
from oracle.chain.rounds import Settled, round_history
from oracle.core.facts import Phase
from oracle.core.facts import Role as NodeRole
from oracle.core.units import ONE, TRUST_ONE, unpack
from oracle.demo.cast import example
from oracle.demo.founding import Founded, found
from oracle.demo.processes import Services
from oracle.evaluators import calibration
from oracle.evaluators.evaluation import raw_scores
from oracle.evaluators.registry import create
from oracle.evaluators.workload import Workload, load
from oracle.service.models import require_packaged

DOMAIN = "qa"
MODELS = {"smollm2": "smollm2-135m", "gemma3": "gemma3-270m"}
"""The inference nodes and what they answer with."""
EVALUATORS = {
    "recall": "token-recall",
    "f1": "token-f1",
    "chrf": "chrf",
    "rouge": "rouge-l",
}
PANEL = 3
ROUNDS = 2
PROMPTS = 4
"""Prompts a round; each goes to every model."""
BLOCK_SECONDS = 1.0
POLL = 0.5
COST_CEILING_MS = 10_000
MOST_TOKENS = 32
SETTLE_SECONDS = 300.0
"""What a round may take from its opening to its end, on a machine that does much else."""
_BUDGETS = ("--inference-budget", "100ether", "--evaluator-budget", "100ether")

Progress = Callable[[int, int, str], None]


class NotSettled(Exception):
    """Raised when a round did not end in time."""


@dataclass(frozen=True, slots=True)
class LiveRound:
    """A settled round: what was answered, what the panel made of it (in 0..1), who sat in it."""

    round_id: int
    workload: Workload
    consensus: tuple[float, ...]
    seats: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A node and what it came to; `quality` in 0..1, `paid` in wei."""

    name: str
    node_id: int
    role: str
    kind: str
    rounds: int
    quality: float | None
    cost: float | None
    trust: float | None
    paid: int


@dataclass(frozen=True, slots=True)
class LiveOutcome:
    """Everything that the live demonstration shows; `exits` are the services' exit codes."""

    rounds: tuple[LiveRound, ...]
    nodes: tuple[LiveNode, ...]
    fees: int
    refunds: int
    exits: dict[str, int]
    seconds: float
    founded: Founded
    audit: Report
    records: tuple[RoundRecord, ...]


def play(progress: Progress, directory: Path) -> LiveOutcome:
    """
    Run the network below `directory` and return what happened; `progress` hears of each step.

    Raises `ModelMissing` before anything starts, `ServiceFailed`, `NotSettled`.
    """
    require_packaged()
    began, steps = monotonic(), ROUNDS + 4
    progress(0, steps, "a chain, contracts, accounts, nodes")
    with Services(directory, {}) as ground:
        chain = ground.start(
            "chain", "devnet", "--port", 0, "--block-time", BLOCK_SECONDS, "--json"
        )
        roles = dict.fromkeys(MODELS, NodeRole.INFERENCE) | dict.fromkeys(
            EVALUATORS, NodeRole.EVALUATOR
        )
        founded = found(ground.reachable(chain), directory, roles)
        with Services(directory, founded.settings) as services:
            progress(1, steps, f"starting {len(MODELS) + len(EVALUATORS) + 1} services")
            urls = _start(services, founded, directory)
            rounds = []
            for number in range(1, ROUNDS + 1):
                progress(1 + number, steps, f"round {number}: {PROMPTS} prompts to each model")
                rounds.append(_round(number, services, founded, directory, urls))
        progress(steps - 2, steps, "withdrawing and auditing")
        nodes = tuple(_node(founded, name, rounds) for name in roles)
        ends = [_settled(founded, each.round_id) for each in rounds]
        records = Records()
        audited = audit(founded.web3, founded.deployment, records=records)
    progress(steps - 1, steps, "every service has ended")
    return LiveOutcome(
        rounds=tuple(rounds),
        nodes=nodes,
        fees=len(ends) * 10**18,
        refunds=sum(end.refund for end in ends),
        exits=services.ended | ground.ended,
        seconds=monotonic() - began,
        founded=founded,
        audit=audited,
        records=tuple(records),
    )


def _start(services: Services, founded: Founded, directory: Path) -> dict[str, str]:
    """Start the oracle, the evaluators and the inference nodes; return the latter's URLs."""
    serving = ("--poll", POLL, "--port", 0)
    oracle = services.start(
        "oracle", "oracle", "run", "--account", "settler", *_data(directory, "oracle"), *serving
    )
    inference = {
        name: services.start(
            name,
            *("inference", "serve", "--account", name, "--node-id", founded.nodes[name]),
            *("--label", name, "--model", model, "--port", 0),
            *_data(directory, name),
        )
        for name, model in MODELS.items()
    }
    oracle_url = services.reachable(oracle)
    (directory / "workloads").mkdir(exist_ok=True)
    for name, kind in EVALUATORS.items():
        services.start(
            name,
            *("evaluator", "run", "--account", name, "--evaluator", kind),
            *("--calibration", _calibrate(kind, directory), "--oracle-url", oracle_url),
            *("--workload-dir", directory / "workloads"),
            *_data(directory, name),
            *serving,
        )
    return {name: services.reachable(service) for name, service in inference.items()}


def _data(directory: Path, name: str) -> tuple[str, Path]:
    return ("--data-dir", directory / "data" / name)


def _calibrate(kind: str, directory: Path) -> Path:
    """Fit an evaluator's scale on the examples set aside for it; return the file."""
    path = directory / f"calibration-{kind}.json"
    labelled = example(DOMAIN, ".calibration")
    evaluator = create(kind, DOMAIN)
    fitted = calibration.fit(evaluator.name, labelled, raw_scores(evaluator, labelled))
    calibration.save(fitted, path)
    return path


def _round(
    number: int, services: Services, founded: Founded, directory: Path, urls: dict[str, str]
) -> LiveRound:
    """Have new prompts answered, open a round over the answers, and wait for its end."""
    prompts = directory / f"prompts-{number}.jsonl"
    prompts.write_text(_prompts(number), encoding="utf-8")
    name = f"{DOMAIN}-{number}.jsonl"
    workload = directory / "workloads" / name
    nodes = [part for label, url in urls.items() for part in ("--node", f"{label}={url}")]
    services.run(
        f"ask-{number}",
        *("requester", "ask", prompts, *nodes, "--domain", DOMAIN, "-o", workload),
        *("--cost-ceiling", COST_CEILING_MS, "--max-tokens", MOST_TOKENS),
    )
    opened = services.run(
        f"submit-{number}",
        *("requester", "submit", workload, *nodes, *_BUDGETS, "--settlement-fee", "1ether"),
        *("--panel-size", PANEL, "--uri", name, "--account", "requester"),
        *_data(directory, "requester"),
    )
    began, round_id = monotonic(), int(opened["round"])
    while founded.state().round(round_id).phase is not Phase.CLOSED:
        services.require_alive()
        if monotonic() - began > SETTLE_SECONDS:
            raise NotSettled(f"Round {round_id} did not end within {SETTLE_SECONDS:g} s.")
        sleep(POLL)
    seconds = monotonic() - began
    content, end = load(workload), _settled(founded, round_id)
    history = round_history(founded.web3, founded.deployment, round_id)
    names = {node_id: name for name, node_id in founded.nodes.items()}
    return LiveRound(
        round_id=round_id,
        workload=content,
        consensus=tuple(int(each) / ONE for each in unpack(end.consensus, len(content.items))),
        seats=tuple(names[seat.node_id] for seat in history.drawn().draw.panel),
        seconds=seconds,
    )


def _prompts(number: int) -> str:
    """Return the prompts of a round, of the packaged examples, as lines of JSON."""
    seen: dict[str, dict[str, str]] = {}
    for item in example(DOMAIN).items:
        row = {"id": item.id, "prompt": item.prompt, "reference": item.reference or ""}
        seen.setdefault(item.id, row)
    rows = list(seen.values())[(number - 1) * PROMPTS : number * PROMPTS]
    return "".join(json.dumps(row) + "\n" for row in rows)


def _settled(founded: Founded, round_id: int) -> Settled:
    end = round_history(founded.web3, founded.deployment, round_id).end
    if not isinstance(end, Settled):
        raise NotSettled(f"Round {round_id} was cancelled.")
    return end


def _node(founded: Founded, name: str, rounds: list[LiveRound]) -> LiveNode:
    """Pay a node what it has earned, and return what it came to."""
    signer, node_id = founded.signers[name], founded.nodes[name]
    paid = founded.state().credit(signer.address)
    if paid:
        founded.send(name, calls.rounds(founded.deployment, "withdraw", signer.address))
    if name in EVALUATORS:
        trust = founded.state().trust(node_id, DOMAIN.encode().ljust(32, b"\0"))
        seats = sum(name in one.seats for one in rounds)
        kind = EVALUATORS[name]
        return LiveNode(
            name, node_id, "evaluator", kind, seats, None, None, trust / TRUST_ONE, paid
        )
    scores = [
        score
        for one in rounds
        for item, score in zip(one.workload.items, one.consensus, strict=True)
        if item.node == name
    ]
    costs = [part.cost for one in rounds for part in one.workload.batches if part.node == name]
    return LiveNode(
        name,
        node_id,
        "inference",
        MODELS[name],
        len(costs),
        sum(scores) / len(scores),
        sum(costs) / len(costs) / ONE,
        None,
        paid,
    )
