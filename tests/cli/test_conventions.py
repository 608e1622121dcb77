"""What every command keeps to: streams, JSON, dry runs, consent, secrets, and the keys' files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from oracle.chain.devnet import accounts
from oracle.cli.amounts import parse_amount, tokens
from oracle.cli.exits import Exit, Stop
from tests.canary import KEY
from tests.cli.world import NAMES, Argument, World, poq

ROOT = Path(__file__).resolve().parent.parent.parent


# Dry runs and consent


@pytest.mark.parametrize(
    ("arguments", "by"),
    [
        (["token", "mint", "1ether", "requester"], "deployer"),
        (["node", "exit", "1"], "evaluator-1"),
        (["node", "rotate-operator", "1", "--operator", "stranger"], "evaluator-1"),
        (["node", "register", "evaluator"], "requester"),
        (["deploy", "--parameters", "testnet", "--mock-token"], "deployer"),
    ],
)
def test_a_dry_run_tries_and_sends_nothing(world: World, arguments: list[str], by: str) -> None:
    height = world.height()
    ran = world.poq(*arguments, "--dry-run", by=by)
    assert ran.code == 0
    assert "Dry run, nothing is sent." in ran.err
    assert world.height() == height


def test_a_dry_run_of_what_would_revert_says_so(world: World) -> None:
    ran = world.poq("node", "exit", 1, "--dry-run", by="stranger")
    assert ran.code == Exit.REVERTED
    assert "Only the owner of node 1" in ran.err


def test_a_dry_run_of_a_deployment_says_where_it_would_be(world: World) -> None:
    height = world.height()
    arguments = ["--parameters", "local", "--mock-token"]
    plan = world.done("deploy", *arguments, "--dry-run", by="stranger")
    assert world.height() == height
    made = world.done("deploy", *arguments, "--deployments", world.path("elsewhere"), by="stranger")
    assert {name: made[name] for name in ("token", "registry", "rounds")} == {
        name: plan[name] for name in ("token", "registry", "rounds")
    }


def test_money_moves_on_a_chain_of_others_only_with_consent(tmp_path: Path) -> None:
    from oracle.chain.devnet import Devnet
    from oracle.chain.devnet_server import serve

    poq("keys", "devnet", tmp_path / "keys", "deployer")
    arguments = ["deploy", "--parameters", "local", "--mock-token", "--account", "deployer"]
    with serve(Devnet(chain_id=11155111), port=0) as url:
        env = {
            "ETH_RPC_URL": url,
            "ETH_KEYSTORE": str(tmp_path / "keys"),
            "ETH_PASSWORD": str(tmp_path / "keys" / "password"),
            "POQ_DEPLOYMENTS": str(tmp_path / "deployments"),
        }
        ran = poq(*arguments, env=env)
        assert ran.code == Exit.USAGE
        assert ran.err == (
            "Deploy to chain 11155111 with the local parameters? "
            "Nobody is there to answer: say --yes.\n"
        )
        assert not (tmp_path / "deployments").exists()
        assert poq(*arguments, "--yes", env=env).code == 0


# Streams


def test_data_is_on_standard_output_and_the_rest_is_not(world: World) -> None:
    ran = world.poq("node", "register", "inference", by="requester")
    assert ran.out == "Node 6\n"
    told = ran.err.splitlines()
    assert [line.split(" (0x")[0].split(" for 0x")[0] for line in told] == [
        "1000 tokens approved",
        "Inference node registered with 1000 tokens staked",
    ]


def test_quiet_says_nothing_and_verbose_says_more(world: World) -> None:
    mint = ["token", "mint", "1ether", "requester"]
    assert world.poq(*mint, "-q", by="deployer").err == ""
    assert "gas" in world.poq(*mint, "-v", by="deployer").err


def test_json_has_a_version_exact_amounts_and_checksummed_accounts(world: World) -> None:
    ran = world.poq("node", "register", "evaluator", "--json", by="requester")
    assert ran.json == {
        "version": 1,
        "kind": "node",
        "nodeId": 6,
        "role": "evaluator",
        "owner": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "operator": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "stake": "1000000000000000000000",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "list"],
        ["node", "show"],
        ["node", "show", "2", "--domain", "qa"],
        ["round", "list"],
        ["token", "balance", "requester"],
        ["audit"],
    ],
)
def test_what_people_read_and_what_programs_read_are_both_there(
    world: World, arguments: list[str]
) -> None:
    people, programs = world.poq(*arguments), world.poq(*arguments, "--json")
    assert (people.code, programs.code) == (0, 0)
    assert "\x1b" not in people.out
    assert programs.out.count("\n") == 1
    assert {"version", "kind"} <= json.loads(programs.out).keys()


def test_an_approval_is_exact_and_sent_only_where_it_is_missing(world: World) -> None:
    ran = world.poq(*world.opening(), by="requester")
    assert "201 tokens approved" in ran.err
    from oracle.chain.calls import token
    from oracle.chain.deployment import read_deployment

    deployment = read_deployment(world.path("deployments"), 31337)
    owner = accounts(2)[1].address
    call = token(deployment, "allowance", owner, deployment.rounds.address)
    answer = world.ask("eth_call", {"to": call.to, "data": "0x" + call.data.hex()}, "latest")
    assert int(answer, 16) == 0


# The life of a node and of a round


def test_a_node_is_topped_up_rotated_and_retired(drawn: World) -> None:
    for i in (1, 2):
        assert drawn.commit(1, i).code == 0
    drawn.pass_time(600)
    reveals = [drawn.reveal(i) for i in (1, 2)]
    for i in (1, 2):
        assert drawn.open_reveal(1, i).code == 0
    assert drawn.settle(1, *reveals).code == 0
    [slashed] = drawn.done("node", "show", 3)["nodes"]
    assert (slashed["state"], slashed["stake"]) == ("slashed", str(990 * 10**18))

    drawn.done("node", "top-up", 3, by="requester")
    drawn.done("node", "rotate-operator", 3, "--operator", "stranger", by="evaluator-3")
    [node] = drawn.done("node", "show", 3)["nodes"]
    assert (node["state"], node["operator"]) == ("active", accounts(9)[8].address)
    drawn.done("node", "exit", 3, by="evaluator-3")
    [left] = drawn.done("node", "show", 3)["nodes"]
    assert left["state"].startswith("left, stake free 2026-01-01 ")


def test_a_round_without_a_quorum_is_cancelled_and_refunded(drawn: World) -> None:
    drawn.pass_time(600)
    drawn.done("round", "cancel", 1, by="stranger")
    shown = drawn.done("round", "show", 1)
    assert (shown["ended"], shown["refund"]) == ("cancelled", str(201 * 10**18))
    paid = drawn.done("withdraw", "requester", by="stranger")
    assert paid["amount"] == str(201 * 10**18)


def test_a_round_that_nobody_drew_is_cancelled_and_refunded(world: World) -> None:
    world.open()
    for _ in range(257):
        world.ask("evm_mine")
    ran = world.poq("round", "draw", 1, by="settler")
    assert ran.code == Exit.REVERTED
    world.done("round", "cancel", 1, by="settler")
    assert world.done("round", "show", 1)["ended"] == "cancelled"


def test_a_seat_left_out_of_the_files_is_taken_from_the_chain(committed: World) -> None:
    arguments: list[Argument] = ["--round", 1, "--scores", committed.scores(3), "--on-chain"]
    assert committed.poq("reveal", *arguments, by="evaluator-3").code == 0
    ran = committed.settle(1, committed.reveal(1), committed.reveal(2))
    assert ran.code == 0
    assert all(seat["committed"] for seat in committed.done("round", "show", 1)["seats"])


# Keys


def test_no_output_holds_a_key(world: World) -> None:
    for arguments in (
        ["node", "exit", "1"],
        ["node", "register", "evaluator", "--dry-run"],
        ["audit", "--nothing"],
        ["token", "mint", "1ether", "requester", "--chain", "5"],
    ):
        signed = [] if arguments[0] == "audit" else ["--private-key", KEY]
        ran = world.poq(*arguments, *signed, "-v")
        assert ran.code != 0
        assert KEY not in (ran.out + ran.err).lower()


def test_a_bare_key_works_and_is_warned_about(world: World) -> None:
    key = "0x" + bytes(accounts(1)[0].key).hex()
    ran = world.poq("token", "mint", "1ether", "requester", "--private-key", key)
    assert ran.code == 0
    assert ran.err.startswith("Warning: a key on the command line is readable by everybody")


def test_keystores_are_for_their_owner_alone_and_open_with_their_password(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    ran = poq("keys", "devnet", directory, *NAMES[:2])
    assert ran.code == 0
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    from oracle.chain.keys import read_keystore, read_password

    password = read_password(directory / "password")
    signer = read_keystore(directory / NAMES[1], password)
    assert signer.address == accounts(2)[1].address


def test_a_key_is_imported_from_a_file_and_listed(tmp_path: Path) -> None:
    (tmp_path / "key.hex").write_text("0x" + bytes(accounts(1)[0].key).hex() + "\n")
    (tmp_path / "password").write_text("secret\n")
    options: list[Argument] = [
        "--keystore",
        tmp_path / "keys",
        "--password-file",
        tmp_path / "password",
    ]
    imported = poq("keys", "import", "mine", "--private-key-file", tmp_path / "key.hex", *options)
    assert imported.code == 0
    listed = poq("keys", "list", "--keystore", tmp_path / "keys", "--json")
    assert listed.json["keys"] == [{"name": "mine", "address": accounts(1)[0].address}]


@pytest.mark.parametrize("name", ["../mine", ".mine", "a/b", ""])
def test_a_key_is_not_stored_under_a_name_that_is_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "password").write_text("secret\n")
    options: list[Argument] = [
        "--keystore",
        tmp_path / "keys",
        "--password-file",
        tmp_path / "password",
    ]
    ran = poq("keys", "new", *options, "--", name)
    assert ran.code == Exit.USAGE
    assert not (tmp_path / "keys").exists()


# Amounts and the local chain


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0", 0),
        ("1500", 1500),
        ("1500wei", 1500),
        ("2gwei", 2 * 10**9),
        ("0.5ether", 5 * 10**17),
        ("0.000000000000000001ether", 1),
        ("340282366920938463463374607431768211455", 2**128 - 1),
    ],
)
def test_an_amount_is_wei_or_has_a_unit(text: str, wei: int) -> None:
    assert parse_amount(text) == wei
    assert parse_amount(f"{tokens(wei)}ether") == wei


@pytest.mark.parametrize("text", ["340282366920938463463374607431768211456", "0.1", "0.1wei"])
def test_an_amount_is_a_whole_number_of_wei_that_the_contracts_can_hold(text: str) -> None:
    with pytest.raises(Stop, match="not a whole number of wei"):
        parse_amount(text)


def test_an_anvil_that_is_not_there_is_named() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "oracle.cli", "devnet", "--anvil", "--port", "0"],
        cwd=ROOT,
        env={"PATH": "/nonexistent", "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (Exit.USAGE, "")
    assert ran.stderr == "No anvil on PATH; install Foundry, or leave --anvil out.\n"


def test_a_port_that_is_taken_is_named(world: World) -> None:
    port = world.url.rsplit(":", 1)[1]
    ran = subprocess.run(
        [sys.executable, "-m", "oracle.cli", "devnet", "--port", port],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (Exit.USAGE, "")
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in ran.stderr
