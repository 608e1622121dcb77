"""The arrows between the layers, the purity of the core, and what importing must not cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Layer → the layers it may import besides itself. A module belongs to its longest prefix here.
# `deploy.artifacts` only reads generated files, so it lies below all that talks to a contract.
ARROWS: dict[str, set[str]] = {
    "oracle": set(),
    "oracle.core": set(),
    "deploy.artifacts": set(),
    "oracle.evaluators": {"oracle.core"},
    "oracle.chain": {"oracle.core", "deploy.artifacts"},
}
ARROWS["deploy"] = {"oracle.core", "oracle.chain", "deploy.artifacts"}
ARROWS["oracle.audit"] = {"oracle.core", "oracle.chain", "deploy.artifacts"}
ARROWS["oracle.service"] = ARROWS["oracle.audit"] | {"oracle.evaluators"}
ARROWS["oracle.study"] = ARROWS["oracle.audit"] | {"oracle.evaluators"}
ARROWS["oracle.demo"] = set(ARROWS) - {"oracle"}
ARROWS["oracle.cli"] = set(ARROWS) - {"oracle"}

NO_IDEA_OF_ITS_OWN = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
INPUT_AND_OUTPUT = {"time", "os", "socket", "random", "logging", "pathlib", "io", "secrets"}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str | None:
    """Return the longest prefix of `module` in `ARROWS`; `oracle` itself has no submodules."""
    names = module.split(".")
    for length in range(len(names), 0, -1):
        layer = ".".join(names[:length])
        if layer in ARROWS and (layer != "oracle" or module == "oracle"):
            return layer
    return None


def imported_modules(path: Path, root: Path) -> Iterator[str]:
    """Yield every module that `path` imports, wherever in the file; `from a import b` is `a.b`."""
    module = module_name(path, root).split(".")
    package = module if path.name == "__init__.py" else module[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def sources(root: Path) -> list[Path]:
    return sorted(path for top in ("oracle", "deploy") for path in root.glob(f"{top}/**/*.py"))


def breaches(root: Path) -> list[str]:
    """Return a sentence for each module without a layer and each import against the arrows."""
    found = []
    for path in sources(root):
        module = module_name(path, root)
        layer = layer_of(module)
        if layer is None:
            found.append(f"{module} is in no layer")
            continue
        for imported in imported_modules(path, root):
            target = layer_of(imported)
            if target not in {None, layer, "oracle"} | ARROWS[layer]:
                found.append(f"{module} imports {imported}")
    return found


def impurities(root: Path) -> list[str]:
    """Return a sentence for each float literal and each way out to the world in the core."""
    found = []
    for path in sorted(root.glob("oracle/core/**/*.py")):
        module = module_name(path, root)
        for imported in imported_modules(path, root):
            if imported.split(".")[0] in INPUT_AND_OUTPUT or imported.startswith("numpy.random"):
                found.append(f"{module} imports {imported}")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                found.append(f"{module}:{node.lineno} has the float {node.value}")
            if isinstance(node, ast.Name) and node.id == "open":
                found.append(f"{module}:{node.lineno} opens a file")
    return found


@pytest.mark.parametrize(
    ("module", "statement", "breach"),
    [
        ("oracle/core/units.py", "import oracle.chain.logs", "imports oracle.chain.logs"),
        ("oracle/core/units.py", "from oracle import chain", "imports oracle.chain"),
        ("oracle/core/units.py", "from ..cli import main", "imports oracle.cli.main"),
        ("oracle/chain/__init__.py", "from ..audit import replay", "imports oracle.audit.replay"),
        ("oracle/chain/logs.py", "def f(): import deploy.plan", "imports deploy.plan"),
        ("oracle/evaluators/llm.py", "from oracle.chain import keys", "imports oracle.chain.keys"),
        ("oracle/audit/replay.py", "import oracle.service", "imports oracle.service"),
        ("deploy/artifacts.py", "import oracle.core", "imports oracle.core"),
        ("oracle/elsewhere.py", "", "oracle.elsewhere is in no layer"),
    ],
)
def test_an_import_against_the_arrows_is_found(
    tmp_path: Path, module: str, statement: str, breach: str
) -> None:
    (tmp_path / module).parent.mkdir(parents=True)
    (tmp_path / module).write_text(statement)
    [found] = breaches(tmp_path)
    assert found.endswith(breach)


@pytest.mark.parametrize(
    ("statement", "impurity"),
    [
        ("import time", "imports time"),
        ("from os import path", "imports os.path"),
        ("from numpy.random import default_rng", "imports numpy.random.default_rng"),
        ("HALF = 0.5", "has the float 0.5"),
        ("x = open('x')", "opens a file"),
    ],
)
def test_an_impurity_of_the_core_is_found(tmp_path: Path, statement: str, impurity: str) -> None:
    (tmp_path / "oracle" / "core").mkdir(parents=True)
    (tmp_path / "oracle" / "core" / "units.py").write_text(statement)
    [found] = impurities(tmp_path)
    assert found.endswith(impurity)


def test_imports_follow_the_arrows() -> None:
    assert breaches(ROOT) == []


def test_the_core_is_pure_integers() -> None:
    assert impurities(ROOT) == []


def test_every_module_is_named_after_its_idea() -> None:
    parts = {
        part for path in sources(ROOT) for part in path.relative_to(ROOT).with_suffix("").parts
    }
    assert parts & NO_IDEA_OF_ITS_OWN == set()


@pytest.mark.parametrize("module", ["oracle", "deploy.artifacts", "deploy.compile"])
def test_importing_does_not_import_web3(module: str) -> None:
    code = f"import sys, {module}; sys.exit('web3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
