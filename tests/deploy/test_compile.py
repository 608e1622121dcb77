"""The artifacts are fresh, complete and reproducible, and a stale one is named."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy import compile as compiling
from deploy.artifacts import ARTIFACTS, ArtifactNotFound, load
from deploy.compile import UNITS, CompileError, Unit, build, differing, main, stale, write
from deploy.packages import ROOT

CONTRACTS, _ = UNITS

needs_compiler = pytest.mark.skipif(
    not (ROOT / "node_modules" / "solc").is_dir(),
    reason="node_modules is absent: `make compile` sets it up",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy what freshness is judged by, so that it can be spoiled."""
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    shutil.copy(ROOT / "package.json", tmp_path)
    return tmp_path


@pytest.fixture
def small(tmp_path: Path) -> tuple[Unit, Path]:
    """Make a root where sources can be written and compiled with the project's compiler."""
    (tmp_path / "src").mkdir()
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    shutil.copy(ROOT / "package.json", tmp_path)
    return Unit("src", standard_input=False), tmp_path


def solidity(body: str) -> str:
    return f"// SPDX-License-Identifier: MIT\npragma solidity 0.8.37;\n{body}\n"


def test_a_changed_source_is_stale(checkout: Path) -> None:
    source = checkout / "contracts" / "NodeRegistry.sol"
    source.write_bytes(source.read_bytes() + b"\n")
    assert stale(CONTRACTS, checkout) == ["contracts/NodeRegistry.sol"]


def test_a_new_source_is_stale(checkout: Path) -> None:
    (checkout / "contracts" / "libraries" / "New.sol").write_text("")
    assert stale(CONTRACTS, checkout) == ["contracts/libraries/New.sol"]


def test_a_deleted_source_is_stale(checkout: Path) -> None:
    (checkout / "contracts" / "libraries" / "Panel.sol").unlink()
    assert stale(CONTRACTS, checkout) == ["contracts/libraries/Panel.sol"]


def test_an_artifact_edited_by_hand_is_stale(checkout: Path) -> None:
    artifact = checkout / "contracts" / "artifacts" / "QualityRounds.json"
    artifact.write_text(artifact.read_text().replace('"bytecode": "0x', '"bytecode": "0x00'))
    assert stale(CONTRACTS, checkout) == ["contracts/artifacts/QualityRounds.json"]


def test_a_missing_and_a_surplus_artifact_are_stale(checkout: Path) -> None:
    artifacts = checkout / "contracts" / "artifacts"
    (artifacts / "NodeRegistry.json").rename(artifacts / "Renamed.json")
    assert stale(CONTRACTS, checkout) == [
        "contracts/artifacts/NodeRegistry.json",
        "contracts/artifacts/Renamed.json",
    ]


def test_a_missing_record_is_stale(checkout: Path) -> None:
    (checkout / "contracts" / "artifacts" / "build.json").unlink()
    assert stale(CONTRACTS, checkout) == ["contracts/artifacts/build.json"]


def test_other_settings_are_stale(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(compiling.SETTINGS, "viaIR", False)
    assert stale(CONTRACTS, checkout) == ["deploy/compile.py"]


def test_another_pinned_package_is_stale(checkout: Path) -> None:
    manifest = checkout / "package.json"
    manifest.write_text(manifest.read_text().replace("5.7.0", "5.7.1"))
    assert stale(CONTRACTS, checkout) == ["package.json"]


def test_the_check_names_what_is_stale_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(compiling.SETTINGS, "viaIR", False)
    assert main(["--check"]) == 1
    assert "run `make compile`: deploy/compile.py" in capsys.readouterr().err


def test_an_unknown_artifact_names_the_known_ones() -> None:
    with pytest.raises(ArtifactNotFound, match=r"'Rounds'.*NodeRegistry, QualityRounds"):
        load("Rounds")


def test_a_missing_import_is_named(tmp_path: Path) -> None:
    (tmp_path / "A.sol").write_text(solidity('import {B} from "./lib/B.sol";'))
    with pytest.raises(CompileError, match=r"^lib/B\.sol is imported and does not exist"):
        build(Unit(".", standard_input=False), tmp_path)


@needs_compiler
def test_a_compilers_error_carries_its_words(small: tuple[Unit, Path]) -> None:
    unit, root = small
    (root / "src" / "A.sol").write_text(solidity("contract A { uint256 x = true; }"))
    with pytest.raises(CompileError, match="not implicitly convertible"):
        build(unit, root)


@needs_compiler
def test_a_warning_in_our_own_source_is_an_error(small: tuple[Unit, Path]) -> None:
    unit, root = small
    (root / "src" / "A.sol").write_text(
        solidity("contract A { function f() external { uint256 unused; } }")
    )
    with pytest.raises(CompileError, match="Unused local variable"):
        build(unit, root)


@needs_compiler
def test_two_contracts_of_one_name_are_refused(small: tuple[Unit, Path]) -> None:
    unit, root = small
    for file in ("A.sol", "B.sol"):
        (root / "src" / file).write_text(solidity("contract A {}"))
    with pytest.raises(CompileError, match="Two contracts of src are named A"):
        build(unit, root)


@needs_compiler
def test_another_compiler_than_the_pinned_one_is_refused(small: tuple[Unit, Path]) -> None:
    unit, root = small
    manifest = (root / "package.json").read_text()
    (root / "package.json").write_text(manifest.replace("0.8.37", "0.8.36"))
    with pytest.raises(CompileError, match=r"is solc 0\.8\.37.*pins 0\.8\.36"):
        build(unit, root)


@needs_compiler
def test_the_compiler_refuses_other_options() -> None:
    solc = subprocess.run([ROOT / "deploy" / "solc", "--bin"], capture_output=True, check=False)
    assert solc.returncode == 1
    assert b"--standard-json" in solc.stderr


@needs_compiler
def test_a_build_is_fresh_until_its_source_changes(small: tuple[Unit, Path]) -> None:
    unit, root = small
    source = root / "src" / "A.sol"
    source.write_text(
        solidity("interface I { error Far(uint256 by); }\ncontract A { uint256 immutable X = 1; }")
    )
    (root / "src" / "artifacts").mkdir()
    (root / "src" / "artifacts" / "Renamed.json").write_text("{}")
    write(unit, build(unit, root), root)
    assert stale(unit, root) == []
    assert differing(unit, root) == []
    assert [entry["name"] for entry in load("A", root / "src" / "artifacts").abi] == ["Far"]

    source.write_text(solidity("contract A { function f() external {} }"))
    assert stale(unit, root) == ["src/A.sol"]
    assert differing(unit, root) == ["src/artifacts/A.json", "src/artifacts/build.json"]


@needs_compiler
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.directory)
def test_compiling_again_gives_the_same_bytes(unit: Unit) -> None:
    assert differing(unit) == []


def test_the_artifacts_are_fresh() -> None:
    assert [path for unit in UNITS for path in stale(unit)] == []


@pytest.mark.parametrize("name", ["NodeRegistry", "QualityRounds"])
def test_a_contract_fits_the_code_size_limit(name: str) -> None:
    assert 0 < len(load(name).deployed_bytecode) <= 24_576


def test_every_error_of_the_interfaces_can_be_decoded() -> None:
    spoken = {entry["name"] for entry in load("QualityRounds").abi if entry["type"] == "error"}
    declared = {
        line.split("(")[0].removeprefix("error ")
        for interface in ("INodeRegistry", "IQualityRounds")
        for line in map(
            str.strip, (ROOT / f"contracts/interfaces/{interface}.sol").read_text().splitlines()
        )
        if line.startswith("error ")
    }
    assert len(declared) > 30
    assert declared <= spoken


def test_immutables_are_zeros_in_the_deployed_code() -> None:
    artifact = load("QualityRounds")
    assert artifact.immutable_references
    for start, length in artifact.immutable_references:
        assert artifact.deployed_bytecode[start : start + length] == bytes(length)


def test_the_standard_input_holds_what_was_compiled_and_no_more() -> None:
    compiler_input = json.loads((ARTIFACTS / "standard-json-input.json").read_text())
    record = json.loads((ARTIFACTS / "build.json").read_text())
    assert compiler_input["sources"].keys() == record["sources"].keys()
    own = {path for path in compiler_input["sources"] if not path.startswith("node_modules/")}
    on_disk = (ROOT / "contracts").glob("**/*.sol")
    assert own == {path.relative_to(ROOT).as_posix() for path in on_disk}
