"""
Compile the contracts into artifacts, and tell whether the artifacts are up to date.

This module decides the compiler's settings and what an artifact holds. The compiler is the npm
package pinned in `package.json`, run through `deploy/solc`; a native one of the same version can be
named in `SOLC_BINARY`. Telling freshness takes hashes only: `build.json` records what went in and
what came out. Artifacts hold no path, time or platform, so a build is the same bytes anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import posixpath
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.packages import (
    DIRECTORY,
    ROOT,
    NotInstalled,
    install_packages,
    pinned_packages,
)

OPTIMIZER_RUNS = 4000
_REMAPPING = ("@openzeppelin/", f"{DIRECTORY}@openzeppelin/")
SETTINGS: dict[str, Any] = {
    "evmVersion": "prague",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": OPTIMIZER_RUNS},
    "remappings": ["=".join(_REMAPPING)],
    "viaIR": True,
}

_RECORD = "build.json"
_STANDARD_INPUT = "standard-json-input.json"
_OUTPUTS = [
    "abi",
    "evm.bytecode.object",
    "evm.deployedBytecode.immutableReferences",
    "evm.deployedBytecode.object",
]
_IMPORT = re.compile(r"""^\s*import\s[^;]*?["']([^"']+)["']\s*(?:as\s+\w+\s*)?;""", re.MULTILINE)
_DEFINITION = re.compile(r"^(contract|interface)\s+(\w+)", re.MULTILINE)

Sources = dict[str, str]


class CompileError(Exception):
    """The contracts cannot be compiled; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Unit:
    """
    Sources that are compiled together: all of `directory`, and what they import.

    Units are compiled apart, so that a test contract cannot change a byte of a real one.
    `standard_input` keeps the compiler's input, which block explorers verify code with.
    """

    directory: str
    standard_input: bool

    @property
    def artifacts(self) -> str:
        return f"{self.directory}/artifacts"


UNITS = (
    Unit("contracts", standard_input=True),
    Unit("tests/contracts", standard_input=False),
)


def stale(unit: Unit, root: Path = ROOT) -> list[str]:
    """
    Return the inputs and artifacts that changed since the last build, sorted; none if it is fresh.

    Compares hashes, so it needs neither a compiler nor `node_modules`: the imported packages count
    through their versions in `package.json`.
    """
    out = root / unit.artifacts
    try:
        record = json.loads((out / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [f"{unit.artifacts}/{_RECORD}"]
    changed = set()
    if record["settings"] != SETTINGS:
        changed.add("deploy/compile.py")
    if record["packages"] != pinned_packages(root):
        changed.add("package.json")
    built = {path: digest for path, digest in record["sources"].items() if not _foreign(path)}
    changed |= _changed(built, {*built, *_own_paths(unit, root)}, root)
    made = {f"{unit.artifacts}/{name}": digest for name, digest in record["artifacts"].items()}
    there = {f"{unit.artifacts}/{path.name}" for path in out.iterdir() if path.name != _RECORD}
    changed |= _changed(made, {*made, *there}, root)
    return sorted(changed)


def build(unit: Unit, root: Path = ROOT) -> dict[str, str]:
    """
    Compile `unit` and return its artifact files as name → content, `build.json` last.

    Raises `CompileError` on a compiler's error, and on a warning in a source of ours.
    """
    sources = read_closure(_own_paths(unit, root), root)
    defined = {
        path: _DEFINITION.findall(text) for path, text in sources.items() if not _foreign(path)
    }
    concrete = {
        path: [name for kind, name in defined[path] if kind == "contract"]
        for path in _own_paths(unit, root)
    }
    interfaces = {
        path: [name for kind, name in definitions if kind == "interface"]
        for path, definitions in defined.items()
    }
    selection = {
        path: {name: _OUTPUTS for name in concrete.get(path, [])}
        | {name: ["abi"] for name in interfaces[path]}
        for path in defined
    }
    compiler_input = {
        "language": "Solidity",
        "settings": SETTINGS | {"outputSelection": selection},
        "sources": {path: {"content": text} for path, text in sources.items()},
    }
    output, version = _compile(compiler_input, root)

    files: dict[str, str] = {}
    for path, names in concrete.items():
        reached = read_closure([path], root)
        spoken = [
            entry
            for interface_path in sorted(reached.keys() & interfaces.keys())
            for interface in interfaces[interface_path]
            for entry in output[interface_path][interface]["abi"]
        ]
        for name in names:
            if f"{name}.json" in files:
                raise CompileError(f"Two contracts of {unit.directory} are named {name}.")
            files[f"{name}.json"] = _canonical(_artifact(name, output[path][name], spoken))
    if unit.standard_input:
        files[_STANDARD_INPUT] = _canonical(compiler_input)
    record = {
        "artifacts": {name: _sha256(text.encode()) for name, text in files.items()},
        "compiler": version,
        "packages": pinned_packages(root),
        "settings": SETTINGS,
        "sources": {path: _sha256(text.encode()) for path, text in sources.items()},
    }
    return dict(sorted(files.items())) | {_RECORD: _canonical(record)}


def differing(unit: Unit, root: Path = ROOT) -> list[str]:
    """Compile `unit` anew and return the artifacts whose bytes are not those on disk, sorted."""
    out = root / unit.artifacts
    files = build(unit, root)
    names = {*files, *(path.name for path in out.glob("*"))}
    return sorted(
        f"{unit.artifacts}/{name}"
        for name in names
        if name not in files or _read_bytes(out / name) != files[name].encode()
    )


def write(unit: Unit, files: Mapping[str, str], root: Path = ROOT) -> None:
    """Make `files` the content of the unit's artifact directory, in their order."""
    out = root / unit.artifacts
    out.mkdir(exist_ok=True)
    for old in out.iterdir():
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (out / name).write_bytes(text.encode())


def main(arguments: list[str] | None = None) -> int:
    """Compile what is stale, or with `--check` only say so; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compile", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    parser.add_argument("--full", action="store_true", help="compile even what seems fresh")
    options = parser.parse_args(arguments)
    try:
        return _check(options.full) if options.check else _write_stale(options.full)
    except (CompileError, NotInstalled) as error:
        print(error, file=sys.stderr)
        return 1


def _check(full: bool) -> int:
    if full:
        install_packages()
    files = [path for unit in UNITS for path in (differing(unit) if full else stale(unit))]
    if files:
        print(f"Out of date, run `make compile`: {', '.join(files)}.", file=sys.stderr)
        return 1
    print("The artifacts are up to date.")
    return 0


def _write_stale(full: bool) -> int:
    for unit in UNITS:
        if not full and not stale(unit):
            print(f"{unit.artifacts} is up to date.")
            continue
        install_packages()
        files = build(unit)
        write(unit, files)
        print(f"{unit.artifacts}: wrote {len(files)} files.")
    return 0


def _compile(compiler_input: dict[str, Any], root: Path) -> tuple[dict[str, Any], str]:
    """Return the compiler's `contracts` output and its version without the platform."""
    import solcx
    from solcx.exceptions import SolcError
    from solcx.wrapper import get_version_str_from_solc_binary

    binary = os.environ.get("SOLC_BINARY") or str(root / "deploy" / "solc")
    pinned = pinned_packages(root)["solc"]
    try:
        version: str = get_version_str_from_solc_binary(binary)
        if version.partition("+")[0] != pinned:
            raise CompileError(f"{binary} is solc {version}; package.json pins {pinned}.")
        output = solcx.compile_standard(compiler_input, solc_binary=binary)
    except SolcError as error:
        raise CompileError(error.message) from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompileError(f"The compiler {binary} does not run: {error}.") from error
    warnings = [
        entry["formattedMessage"]
        for entry in output.get("errors", [])
        if not _foreign(entry.get("sourceLocation", {}).get("file", ""))
    ]
    if warnings:
        raise CompileError("\n".join(warnings))
    return output["contracts"], version


def _artifact(
    name: str, compiled: Mapping[str, Any], spoken: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the artifact of one contract, with the errors among `spoken` added to its ABI."""
    abi = list(compiled["abi"])
    known = {_signature(entry) for entry in abi}
    for entry in spoken:
        if entry["type"] == "error" and _signature(entry) not in known:
            abi.append(entry)
            known.add(_signature(entry))
    deployed = compiled["evm"]["deployedBytecode"]
    return {
        "abi": sorted(abi, key=_signature),
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "deployedBytecode": "0x" + deployed["object"],
        "immutableReferences": deployed.get("immutableReferences", {}),
        "name": name,
    }


def _signature(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["type"], entry.get("name", ""), json.dumps(entry.get("inputs", []))


def _own_paths(unit: Unit, root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix() for path in root.glob(f"{unit.directory}/**/*.sol")
    )


def read_closure(paths: Iterable[str], root: Path) -> Sources:
    """Return the text of `paths` and of all that they import, by path below `root`, sorted."""
    sources: Sources = {}
    pending = list(paths)
    while pending:
        path = pending.pop()
        if path in sources:
            continue
        try:
            sources[path] = (root / path).read_bytes().decode("utf-8")
        except FileNotFoundError:
            raise CompileError(f"{path} is imported and does not exist.") from None
        pending += [_resolve(name, path) for name in _IMPORT.findall(sources[path])]
    return dict(sorted(sources.items()))


def _resolve(name: str, importer: str) -> str:
    """Return the path below the root that `import "name"` means inside `importer`."""
    if name.startswith("."):
        return posixpath.normpath(posixpath.join(posixpath.dirname(importer), name))
    prefix, target = _REMAPPING
    return target + name.removeprefix(prefix) if name.startswith(prefix) else name


def _changed(recorded: Mapping[str, str], paths: Iterable[str], root: Path) -> set[str]:
    """Return those of `paths` whose hash on disk is not the recorded one."""
    return {
        path
        for path in paths
        if (content := _read_bytes(root / path)) is None or recorded.get(path) != _sha256(content)
    }


def _read_bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _foreign(path: str) -> bool:
    return path.startswith(DIRECTORY)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
