"""Evaluators, inference nodes and requesters: what they refuse, and a round opened once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from oracle.chain.deployment import read_deployment
from oracle.chain.devnet import accounts
from oracle.chain.keys import Signer
from oracle.chain.rpc import connect
from oracle.chain.state import State
from oracle.cli.exits import Exit
from oracle.service.answers import FILE, AnswerStore
from oracle.service.inference import InferenceNode, inference_application
from oracle.service.models import Completion, Message
from oracle.service.serving import serving
from tests.cli.world import NAMES, Argument, World

NODE = 4


class Echo:
    name, parallel = "echo", 1

    def complete(self, messages: Sequence[Message], most_tokens: int) -> Completion:
        return Completion(messages[-1].content[::-1], 1, 1)


@pytest.fixture
def node(world: World) -> Iterator[str]:
    """Inference node 4, called `echo`, behind a port."""
    deployment = read_deployment(world.path("deployments"), 31337)
    web3 = connect(world.url)
    operator = Signer(accounts(len(NAMES))[NAMES.index("inference-1")])
    (directory := world.path("echo")).mkdir(exist_ok=True)
    inference = InferenceNode(
        Echo(),
        AnswerStore(directory / FILE),
        operator,
        deployment,
        lambda: State(web3, deployment).node(NODE),
        label="echo",
    )
    with serving(inference_application(inference), "127.0.0.1", 0) as url:
        yield url


def calibrated(world: World) -> Path:
    labelled, out = world.path("labelled.jsonl"), world.path("token-f1.json")
    if not out.exists():
        world.done("workload", "example", "qa", "--calibration", "-o", labelled)
        world.done("calibrate", labelled, "--evaluator", "token-f1", "-o", out)
    return out


def submission(world: World, url: str, workload: Path) -> list[Argument]:
    budgets = ["--inference-budget", "1ether", "--evaluator-budget", "1ether"]
    return [
        "requester",
        "submit",
        workload,
        "--node",
        f"echo={url}",
        *budgets,
        "--panel-size",
        3,
        "--uri",
        "qa.jsonl",
        "--data-dir",
        world.path("requester-data"),
    ]


@pytest.mark.parametrize(
    ("changes", "by", "code", "words"),
    [
        (["--evaluator", "oracle-of-delphi"], "evaluator-1", Exit.USAGE, "unknown evaluator"),
        (["--evaluator", "chrf"], "evaluator-1", Exit.USAGE, "calibration is for token-f1"),
        (["--calibration", "none.json"], "evaluator-1", Exit.USAGE, "cannot read none.json"),
        (["--oracle-url", "oracle:8700"], "evaluator-1", Exit.USAGE, "is no oracle's URL"),
        (["--node-id", 9], "evaluator-1", Exit.USAGE, "There is no node 9"),
        (["--node-id", 4], "inference-1", Exit.USAGE, "Node 4 is no evaluator"),
        (["--node-id", 2], "evaluator-1", Exit.KEY, "The operator of node 2 is"),
        (["--max-fee", "much"], "evaluator-1", Exit.USAGE, "is no amount"),
    ],
)
def test_an_evaluator_that_cannot_work_does_not_start(
    world: World, changes: list[Argument], by: str, code: Exit, words: str
) -> None:
    command: list[Argument] = ["evaluator", "run", "--port", 0]
    usual: list[Argument] = ["--evaluator", "token-f1", "--calibration", calibrated(world)]
    directory: list[Argument] = ["--data-dir", world.path("evaluator-data")]
    if changes[0] == "--calibration":
        usual = usual[:2]
    ran = world.poq(*command, *usual, *directory, *changes, by=by)
    assert ran.code == code
    assert words in ran.err and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "by", "code", "words"),
    [
        (["--model", "oracle"], "inference-1", Exit.USAGE, "There is no model 'oracle'"),
        (["--model", "openai:x"], "inference-1", Exit.USAGE, "is no endpoint"),
        (["--node-id", 1], "evaluator-1", Exit.USAGE, "Node 1 is no inference node"),
        (["--node-id", 5], "inference-1", Exit.KEY, "The operator of node 5 is"),
        (["--key-file", "none"], "inference-1", Exit.KEY, "none cannot be read"),
    ],
)
def test_an_inference_node_that_cannot_work_does_not_start(
    world: World, changes: list[Argument], by: str, code: Exit, words: str
) -> None:
    model = "openai:http://127.0.0.1:9#m"
    usual: list[Argument] = ["--node-id", NODE, "--label", "x", "--model", model]
    directory: list[Argument] = ["--data-dir", world.path("inference-data"), "--port", 0]
    ran = world.poq("inference", "serve", *usual, *directory, *changes, by=by)
    assert ran.code == code
    assert words in ran.err and len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("nodes", "code", "words"),
    [
        (["echo"], Exit.USAGE, "'echo' is no node"),
        (["=http://x"], Exit.USAGE, "is no node"),
        (["a=http://x", "a=http://y"], Exit.USAGE, "Node 'a' is named twice"),
        (["a=http://127.0.0.1:9"], Exit.RPC, "Node 'a': it cannot be asked"),
    ],
)
def test_a_node_that_cannot_be_asked_is_named(
    world: World, nodes: list[str], code: Exit, words: str
) -> None:
    prompts = world.path("prompts.jsonl")
    prompts.write_text('{"id": "a", "prompt": "one"}\n')
    named = [part for node in nodes for part in ("--node", node)]
    ran = world.poq("requester", "ask", prompts, *named, "-o", world.path("answers.jsonl"))
    assert (ran.code, len(ran.err.splitlines())) == (code, 1)
    assert words in ran.err


def test_prompts_are_answered_signed_for_and_opened_once(world: World, node: str) -> None:
    prompts, workload = world.path("prompts.jsonl"), world.path("answered.jsonl")
    rows = [{"id": "a", "prompt": "one", "reference": "eno"}, {"id": "b", "prompt": "two"}]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = world.done("requester", "ask", prompts, "--node", f"echo={node}", "-o", workload)
    assert asked["items"] == 2
    command = submission(world, node, workload)

    height = world.height()
    dry = world.poq(*command, "--dry-run", by="requester")
    assert (dry.code, world.height()) == (0, height), dry.err
    assert "nothing is sent" in dry.err

    opened = world.done(*command, by="requester")
    assert (opened["round"], opened["new"]) == (1, True)
    again = world.done(*command, by="requester")
    assert (again["round"], again["new"]) == (1, False)
    assert world.done(*command, "--again", by="requester")["round"] == 2
    assert len(world.done("round", "list")["rounds"]) == 2


def test_a_workload_that_was_changed_after_the_answers_is_not_opened(
    world: World, node: str
) -> None:
    prompts, workload = world.path("prompts.jsonl"), world.path("answered.jsonl")
    prompts.write_text('{"id": "a", "prompt": "one"}\n')
    world.done("requester", "ask", prompts, "--node", f"echo={node}", "-o", workload)
    workload.write_text(workload.read_text().replace('"eno"', '"uno"'))
    ran = world.poq(*submission(world, node, workload), by="requester")
    assert ran.code == Exit.RPC
    assert "Node 'echo': Item 'a' is not an answer that this node gave" in ran.err
    assert world.done("round", "list")["rounds"] == []


def test_a_workload_that_is_not_there_is_told(world: World, node: str) -> None:
    ran = world.poq(*submission(world, node, world.path("none.jsonl")), by="requester")
    assert ran.code == Exit.USAGE and "cannot read" in ran.err
