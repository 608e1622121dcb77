"""Every error has its exit code, and nothing but a mistake in the program ends with 1."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import deploy
import oracle.audit
import oracle.chain
import oracle.core
import oracle.evaluators
import oracle.service
from oracle.cli.app import _explain
from oracle.cli.exits import CODES, Exit, Stop, exit_of

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_FOR_COMMANDS = {
    # Raised and caught below what a command calls, or by commands of their own.
    "deploy.compile.CompileError",
    "deploy.packages.NotInstalled",
    "oracle.audit.bulk_columns.NotPlain",
    "oracle.audit.layouts.OtherLayout",
    "oracle.chain.abi_words.NotStrict",
    "oracle.chain.completeness.HeadGone",
    "oracle.chain.devnet.ExecutionReverted",
    "oracle.chain.devnet.TransactionRefused",
    "oracle.chain.devnet_rpc.RpcError",
    "oracle.chain.log_table.NotATable",
    "oracle.service.checking.Concern",
    # The command checks the panel's size and the rule's trim on chain, before it computes.
    "oracle.core.consensus.PanelTooSmall",
    "oracle.core.consensus.ZeroTrust",
    "oracle.core.panel.TooFewEvaluators",
    # The command, the loop and the intake turn them into a sentence of their own.
    "oracle.service.documents.DocumentMalformed",
    "oracle.service.evaluator.ScoresLost",
    "oracle.service.exchange.Unanswered",
    "oracle.service.fetching.NotFetched",
    "oracle.service.handover.NotDelivered",
    "oracle.service.models.ModelFailed",
    "oracle.service.lookout.HistoryIncomplete",
    "oracle.service.serving.Refusal",
}


def classes() -> dict[str, type[BaseException]]:
    """Return every public exception class of what commands build on."""
    found: dict[str, type[BaseException]] = {}
    packages = deploy, oracle.audit, oracle.chain, oracle.core, oracle.evaluators, oracle.service
    for package in packages:
        for module_info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            module = importlib.import_module(module_info.name)
            for name, value in vars(module).items():
                is_error = isinstance(value, type) and issubclass(value, Exception)
                if is_error and value.__module__ == module.__name__ and name[0] != "_":
                    found[f"{module.__name__}.{name}"] = value
    return found


def test_an_error_without_an_exit_code_is_a_mistake_in_the_program(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POQ_TRACEBACK", raising=False)
    assert _explain(ZeroDivisionError("of\nzero")) == Exit.INTERNAL
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "A mistake in this program: ZeroDivisionError: of zero. Set POQ_TRACEBACK=1 to see where."
    ]


def test_who_asks_sees_where_the_mistake_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POQ_TRACEBACK", "1")
    assert _explain(ZeroDivisionError()) == Exit.INTERNAL
    assert "ZeroDivisionError\n" in capsys.readouterr().err


def test_every_error_that_a_command_can_meet_has_an_exit_code() -> None:
    without = {
        name
        for name, kind in classes().items()
        if not any(f"{each.__module__}.{each.__qualname__}" in CODES for each in kind.__mro__)
    }
    assert without - NOT_FOR_COMMANDS == set()


def test_every_entry_of_the_table_is_an_error_that_exists() -> None:
    for name in CODES:
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_the_codes_are_those_of_the_contract_with_scripts() -> None:
    assert {each.name: int(each) for each in Exit} == {
        "OK": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "AUDIT_MISMATCH": 3,
        "RPC": 4,
        "REVERTED": 5,
        "UNCONFIRMED": 6,
        "KEY": 7,
        "UNSAFE_CHAIN": 8,
        "NOTHING_YET": 9,
        "INTERRUPTED": 130,
    }


def test_a_stop_and_a_subclass_have_the_code_that_they_say() -> None:
    from oracle.chain.transactions import Unconfirmed
    from oracle.core.reveals import RepeatedSeat

    assert exit_of(Stop(Exit.NOTHING_YET, "not yet")) is Exit.NOTHING_YET
    assert exit_of(RepeatedSeat(1, "is revealed twice")) is Exit.USAGE
    assert exit_of(Unconfirmed(bytes(32), 1)) is Exit.UNCONFIRMED


def test_an_interrupted_command_exits_with_130_and_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "oracle.cli", "round", "list", "--rpc-url", url],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            connection, _ = silent.accept()
            assert connection.recv(1)  # it has asked, and waits for an answer now
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == Exit.INTERRUPTED
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
            connection.close()
