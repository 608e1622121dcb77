"""
`poq requester`: ask inference nodes, and open a round over what they answered.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oracle.cli.exits import Exit, Stop
from oracle.cli.extras import needing
from oracle.cli.options import Printing, Writing, with_options
from oracle.cli.terms import Terms, batches_of

if TYPE_CHECKING:
    from oracle.chain.journal import Journal
    from oracle.cli.session import Writer
    from oracle.evaluators.workload import Workload
    from oracle.service.opening import Opener

Nodes = Annotated[
    list[str],
    typer.Option("--node", help="A node as the workload calls it, and its URL: LABEL=URL."),
]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Ask inference nodes; open rounds.", no_args_is_help=True)
    group.command("ask")(with_options(ask))
    group.command("submit")(with_options(submit))
    app.add_typer(group, name="requester")


def ask(
    prompts: Annotated[Path, typer.Argument(help="JSON lines: id, prompt, perhaps reference.")],
    printing: Printing,
    node: Nodes,
    out: Annotated[Path, typer.Option("-o", "--out", help="The workload file to write.")],
    domain: Annotated[str, typer.Option("--domain", help="The task: qa, summarization, …")] = "qa",
    cost_ceiling: Annotated[
        int, typer.Option("--cost-ceiling", min=1, help="Milliseconds that count as full cost.")
    ] = 10_000,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, max=1024, help="The longest answer.")
    ] = 64,
) -> None:
    """
    Have inference nodes answer prompts, and write the answers as a workload.

    Example: poq requester ask prompts.jsonl --node mine=http://127.0.0.1:8702 -o qa.jsonl
    """
    with needing("service"):
        from oracle.service import requester

    from oracle.evaluators.workload import write

    nodes = _nodes(node)
    try:
        questions = requester.read_prompts(prompts.read_bytes())
    except OSError as error:
        raise Stop(Exit.USAGE, f"{prompts} cannot be read: {error.strerror}.") from None
    output = printing.output()
    answered = requester.ask(
        domain,
        cost_ceiling,
        questions,
        nodes,
        most_tokens=max_tokens,
        told=lambda label, item: output.detail(f"{label}: {item.id} in {item.latency_ms} ms."),
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        written = write(answered, out)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{out} cannot be written: {error.strerror}.") from None
    output.say(f"{len(written.items)} answers, SHA-256 0x{written.hash.hex()}, in {out}.")
    if printing.json:
        output.data(
            "workload", {"workloadHash": "0x" + written.hash.hex(), "items": len(written.items)}
        )


def submit(
    workload: Annotated[Path, typer.Argument(help="The workload file.")],
    writing: Writing,
    node: Nodes,
    terms: Terms,
    again: Annotated[
        bool, typer.Option("--again", help="Open another round over the same workload.")
    ] = False,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", envvar="POQ_DATA_DIR", help="Where its journal is.")
    ] = Path("requester-data"),
    max_fee: Annotated[
        str,
        typer.Option("--max-fee", envvar="POQ_MAX_FEE", help="The most for a unit of gas, ever."),
    ] = "200gwei",
) -> None:
    """
    Have the nodes of a workload sign receipts, and open a round; safe to repeat.

    Example: poq requester submit qa.jsonl --node mine=http://127.0.0.1:8702
    --inference-budget 100ether --evaluator-budget 100ether --settlement-fee 1ether
    --uri https://example.org/qa.jsonl --account requester
    """
    with needing("service"):
        from oracle.service import requester
        from oracle.service.directory import claimed

    from oracle.chain import calls, journal
    from oracle.cli.amounts import parse_amount, tokens
    from oracle.cli.session import Writer
    from oracle.evaluators.workload import load

    content = load(workload)
    nodes = _nodes(node)
    cap = parse_amount(max_fee)
    session = Writer(writing)
    fixed = terms.of(content, session)
    with (
        claimed(data_dir) as directory,
        closing(journal.Journal(directory / journal.FILE)) as written,
    ):
        opener = _opener(session, written, directory, cap, writing.confirmations)
        known = [] if again else opener.rounds_over(content.hash)
        if known:
            _tell(session, content, known[-1], is_new=False)
            return
        signed = requester.receipts(
            content,
            nodes,
            session.address,
            chain_id=session.chain_id,
            registry=session.deployment.registry.address,
            content=workload.read_bytes(),
        )
        batches, signatures = batches_of(session, content, signed, session.address)
        session.output.detail(f"{len(signed)} receipts.")
        session.require_balance(fixed.deposit)
        session.consent(f"Escrow {tokens(fixed.deposit)} tokens of {session.address}?")
        if writing.dry_run:
            rows = [batch.as_tuple() for batch in batches]
            call = calls.rounds(
                session.deployment, "open", fixed.as_tuple(), rows, signatures, terms.uri
            )
            session.pay(call, fixed.deposit, f"Round over {len(content.items)} items opened")
            return
        opened = opener.open(fixed, batches, signatures, terms.uri, again=again)
    _tell(session, content, opened.round_id, is_new=opened.is_new)


def _tell(session: Writer, workload: Workload, round_id: int, *, is_new: bool) -> None:
    session.output.say(
        f"Round {round_id} over {len(workload.items)} items is open."
        if is_new
        else f"There is round {round_id} over this workload already; say --again for another."
    )
    facts = {"round": round_id, "new": is_new, "workloadHash": "0x" + workload.hash.hex()}
    session.output.data("round", facts, [f"Round {round_id}"])


def _nodes(given: list[str]) -> dict[str, str]:
    """Return URLs by label; raise `Stop`."""
    nodes: dict[str, str] = {}
    for text in given:
        label, _, url = text.partition("=")
        if not label or not url.startswith(("http://", "https://")):
            raise Stop(Exit.USAGE, f"{text!r} is no node: write LABEL=http://HOST:PORT.")
        if label in nodes:
            raise Stop(Exit.USAGE, f"Node {label!r} is named twice.")
        nodes[label] = url
    return nodes


def _opener(
    session: Writer, written: Journal, directory: Path, max_fee: int, confirmations: int
) -> Opener:
    from oracle.chain import follower
    from oracle.chain.sender import FeePolicy, Sender
    from oracle.cli.session import reverts
    from oracle.service.opening import Opener

    return Opener(
        session.web3,
        session.deployment,
        follower=follower.Follower(session.web3, session.deployment, directory / follower.FILE),
        sender=Sender(
            session.web3,
            session.signer,
            written,
            reverts(),
            FeePolicy(max_fee),
            chain_id=session.chain_id,
        ),
        confirmations=confirmations,
    )
