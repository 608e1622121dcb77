"""The workload file: everything that is refused, and what a valid one means."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from oracle.evaluators import workload as workloads
from oracle.evaluators.workload import Item, WorkloadError

MANIFEST: dict[str, Any] = {"format": "poq-workload/1", "domain": "qa", "cost_ceiling_ms": 1000}
ITEM: dict[str, Any] = {
    "id": "a",
    "prompt": "Why?",
    "output": "Because.",
    "node": "n1",
    "latency_ms": 10,
    "tokens": 3,
}


def file(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def changed(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**row, **changes}.items() if value is not None}


def item(**changes: Any) -> Item:
    return Item(**{**ITEM, **changes})


def one_item(**changes: Any) -> bytes:
    return file(MANIFEST, changed(ITEM, **changes))


def raw_field(name: str, value: str) -> bytes:
    """An item whose field is spelled out, for what `json.dumps` would not write."""
    row = json.dumps(changed(ITEM, **{name: "@"})).replace('"@"', value)
    return file(MANIFEST) + row.encode() + b"\n"


MALFORMED = {
    "an empty file": (b"", 0, "the file is empty"),
    "a manifest without items": (file(MANIFEST), 0, "no items after the manifest"),
    "bad JSON in the manifest": (b"{\n", 1, "not valid JSON"),
    "bad JSON in an item": (file(MANIFEST) + b'{"id": \n', 2, "not valid JSON"),
    "a blank line": (file(MANIFEST) + b"\n" + file(ITEM), 2, "not valid JSON"),
    "bytes that are not UTF-8": (file(MANIFEST) + b"\xff\n", 2, "not UTF-8"),
    "an item that is a list": (file(MANIFEST) + b"[]\n", 2, "a JSON list, expected an object"),
    "a hostile depth": (file(MANIFEST) + b"[" * 100_000 + b"\n", 2, "not valid JSON"),
    "a hostile number": (raw_field("tokens", "9" * 5_000), 2, "not valid JSON"),
    "another format": (
        file(changed(MANIFEST, format="poq-workload/2"), ITEM),
        1,
        "format is 'poq-workload/2', expected 'poq-workload/1'",
    ),
    "no manifest": (file(ITEM), 1, "field 'cost_ceiling_ms' is missing"),
    "a manifest with an extra field": (file({**MANIFEST, "x": 1}, ITEM), 1, "unknown field 'x'"),
    "an empty domain": (file(changed(MANIFEST, domain=""), ITEM), 1, "domain is empty"),
    "a domain of 32 bytes": (
        file(changed(MANIFEST, domain="d" * 32), ITEM),
        1,
        f"domain '{'d' * 32}' is not 1 to 31 printable ASCII characters without spaces",
    ),
    "a domain beyond ASCII": (
        file(changed(MANIFEST, domain="qä"), ITEM),
        1,
        "domain 'qä' is not 1 to 31 printable ASCII characters without spaces",
    ),
    "a ceiling of zero": (
        file(changed(MANIFEST, cost_ceiling_ms=0), ITEM),
        1,
        "cost_ceiling_ms is 0, expected at least 1",
    ),
    "a fractional ceiling": (
        file(changed(MANIFEST, cost_ceiling_ms=1.5), ITEM),
        1,
        "cost_ceiling_ms is 1.5, expected an integer from 0 to 4294967295",
    ),
    "a misspelled field": (one_item(references="x"), 2, "unknown field 'references'"),
    "an empty id": (one_item(id=""), 2, "id is empty"),
    "an id that is a number": (one_item(id=7), 2, "id is 7, expected a string"),
    "an empty node": (one_item(node=""), 2, "node is empty"),
    "an empty prompt": (one_item(prompt=""), 2, "prompt is empty"),
    "an output that is null": (raw_field("output", "null"), 2, "output is None, expected a string"),
    "a reference that is null": (
        raw_field("reference", "null"),
        2,
        "reference is None, expected a string",
    ),
    "half a surrogate pair": (
        raw_field("output", '"\\ud800"'),
        2,
        "output holds an unpaired surrogate",
    ),
    "a negative latency": (
        one_item(latency_ms=-1),
        2,
        "latency_ms is -1, expected an integer from 0 to 4294967295",
    ),
    "a latency beyond 32 bits": (
        one_item(latency_ms=2**32),
        2,
        "latency_ms is 4294967296, expected an integer from 0 to 4294967295",
    ),
    "a truth value for tokens": (
        one_item(tokens=True),
        2,
        "tokens is True, expected an integer from 0 to 4294967295",
    ),
    "a label above one": (one_item(label=1.01), 2, "label is 1.01, expected a number from 0 to 1"),
    "a label that is NaN": (raw_field("label", "NaN"), 2, "NaN is not a JSON number"),
    "a label that is infinite": (raw_field("label", "1e999"), 2, "label is inf, expected a"),
    "a label that is text": (one_item(label="1"), 2, "label is '1', expected a number from 0 to 1"),
    "a field that occurs twice": (raw_field("tokens", '1, "tokens": 2'), 2, "a field occurs twice"),
    "the same id twice for a node": (
        file(MANIFEST, ITEM, ITEM),
        3,
        "id 'a' occurs twice for node 'n1'",
    ),
    "a node that comes back": (
        file(MANIFEST, ITEM, changed(ITEM, node="n2"), changed(ITEM, id="b")),
        4,
        "items of node 'n1' do not stand together",
    ),
    "one id for two prompts": (
        file(MANIFEST, ITEM, changed(ITEM, node="n2", prompt="How?")),
        3,
        "id 'a' has another prompt or reference than before",
    ),
    "one id for two references": (
        file(MANIFEST, ITEM, changed(ITEM, node="n2", reference="So.")),
        3,
        "id 'a' has another prompt or reference than before",
    ),
    "33 batches": (
        file(MANIFEST, *(changed(ITEM, node=f"n{number}") for number in range(33))),
        34,
        "more than 32 batches",
    ),
    "4097 items": (
        file(MANIFEST, *(changed(ITEM, id=str(number)) for number in range(4097))),
        0,
        "4097 items, at most 4096",
    ),
    **{
        f"an item without {name}": (one_item(**{name: None}), 2, f"field '{name}' is missing")
        for name in ITEM
    },
}


@pytest.mark.parametrize(("data", "line", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_workload_is_refused_with_its_line_and_one_sentence(
    data: bytes, line: int, reason: str
) -> None:
    with pytest.raises(WorkloadError) as caught:
        workloads.parse(data)
    assert caught.value.line == line
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"workload line {line}: " if line else "workload: ")


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 200))
def test_damage_anywhere_is_refused_or_still_a_workload(
    junk: bytes, start: int, length: int
) -> None:
    data = file(MANIFEST, ITEM, changed(ITEM, id="b", label=0.5))
    damaged = data[:start] + junk + data[start + length :]
    with suppress(WorkloadError):
        read = workloads.parse(damaged)
        assert workloads.parse(workloads.dump(read)).items == read.items


def test_a_file_with_another_hash_is_refused_before_it_is_read() -> None:
    with pytest.raises(WorkloadError, match=r"SHA-256 is e3b0c44.*, expected 0000"):
        workloads.parse(b"", bytes(32))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="No such file"):
        workloads.load(tmp_path / "absent.jsonl")


def test_the_hash_is_that_of_the_bytes_read_whatever_their_spacing(tmp_path: Path) -> None:
    path = tmp_path / "round.jsonl"
    path.write_bytes(file(MANIFEST, ITEM).replace(b": ", b" :  "))
    digest = hashlib.sha256(path.read_bytes()).digest()
    assert workloads.load(path, digest).hash == digest


def test_writing_returns_the_workload_with_the_hash_of_what_was_written(tmp_path: Path) -> None:
    loose = workloads.parse(file(MANIFEST, ITEM).replace(b": ", b" :  "))
    written = workloads.write(loose, tmp_path / "round.jsonl")
    assert written.hash != loose.hash
    assert written == workloads.load(tmp_path / "round.jsonl", written.hash)
    assert written.items == loose.items


def test_the_last_line_needs_no_line_break() -> None:
    data = file(MANIFEST, ITEM)
    assert workloads.parse(data[:-1]).items == workloads.parse(data).items == (item(),)


def test_an_output_may_be_empty_and_a_label_an_integer() -> None:
    (read,) = workloads.parse(one_item(output="", label=1)).items
    assert (read.output, read.label) == ("", 1.0)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.lists(
        st.builds(
            Item,
            id=texts,
            prompt=texts,
            output=texts | st.just(""),
            node=st.just("n"),
            latency_ms=st.integers(0, workloads.MAX_COUNT),
            tokens=st.integers(0, workloads.MAX_COUNT),
            reference=st.none() | texts,
            label=st.none() | st.floats(0, 1),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda built: built.id,
    )
)
def test_what_is_dumped_is_read_back_the_same(items: list[Item]) -> None:
    built = workloads.build("qa", 1000, items)
    assert built.items == tuple(items)
    assert workloads.parse(workloads.dump(built)) == built


def test_batches_are_the_runs_of_one_node_and_cover_every_item() -> None:
    built = workloads.build(
        "qa",
        1000,
        [item(id="a"), item(id="b"), item(id="a", node="n2"), item(id="a", node="n3")],
    )
    assert [(batch.node, batch.start, batch.stop) for batch in built.batches] == [
        ("n1", 0, 2),
        ("n2", 2, 3),
        ("n3", 3, 4),
    ]


@pytest.mark.parametrize(
    ("latencies", "ceiling", "cost"),
    [
        ([0, 0], 1, 0),
        ([500], 1000, 5000),
        ([500, 1000], 1000, 7500),
        ([1], 20_000, 1),  # half a unit rounds up
        ([1], 20_001, 0),
        ([1001], 1000, 10_000),  # above the ceiling costs no more than the ceiling
        ([2**32 - 1] * 3, 2**32 - 1, 10_000),
    ],
)
def test_cost_is_the_mean_latency_over_the_ceiling_half_up(
    latencies: list[int], ceiling: int, cost: int
) -> None:
    items = [item(id=str(at), latency_ms=latency) for at, latency in enumerate(latencies)]
    (batch,) = workloads.build("qa", ceiling, items).batches
    assert batch.cost == cost


def test_the_outputs_hash_is_the_hash_of_the_outputs_hashes_in_order() -> None:
    outputs = ["Zürich", ""]
    built = workloads.build(
        "qa", 1000, [item(id=str(at), output=output) for at, output in enumerate(outputs)]
    )
    expected = keccak(keccak("Zürich".encode()) + keccak(b""))
    assert built.batches[0].outputs_hash == expected
    assert workloads.outputs_hash(reversed(built.items)) != expected


def test_selecting_an_unknown_id_or_node_or_nothing_is_refused() -> None:
    built = workloads.build("qa", 1000, [item(), item(id="b", node="n2")])
    with pytest.raises(WorkloadError, match="no item has id 'z'"):
        workloads.select(built, ids=["a", "z"])
    with pytest.raises(WorkloadError, match="no item has node 'n3'"):
        workloads.select(built, nodes={"n3"})
    with pytest.raises(WorkloadError, match="no items after the manifest"):
        workloads.select(built, ids=["a"], nodes=["n2"])


def test_selecting_keeps_file_order_and_gives_the_hash_of_the_cut_file() -> None:
    built = workloads.build(
        "qa", 1000, [item(id=name, node=node) for node in ("n1", "n2") for name in "abc"]
    )
    cut = workloads.select(built, ids=["c", "a"], nodes=["n2"])
    assert [(kept.id, kept.node) for kept in cut.items] == [("a", "n2"), ("c", "n2")]
    assert cut.hash == hashlib.sha256(workloads.dump(cut)).digest() != built.hash
