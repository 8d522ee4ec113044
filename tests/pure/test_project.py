"""The project's own rules: style, types, imports, and no machine's own words in what is kept."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import ROOT, committed_files, modules

BIN = Path(sys.executable).parent
# Joined here, so that this file does not itself hold what it looks for.
HOSTS = [
    ".".join(words)
    for words in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("snapshot", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("security", "ubuntu", "com"),
        ("registry", "npmjs", "org"),
        ("registry-1", "docker", "io"),
        ("index", "docker", "io"),
        ("download", "docker", "com"),
        ("nodesource", "com"),
    )
]
MACHINE_PATHS = [
    "/".join(("", "work", "main")),
    "/".join(("", "root", ".pyenv")),
    "/opt/" + "wheels",
]
TASKS_MAY_IMPORT = sys.stdlib_module_names - {"socket", "subprocess", "ctypes", "fcntl"} | {
    "bench",
    "front",
    "invoke",
    "rich",
    "twinstack",
}


def check(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_follows_the_style():
    check(str(BIN / "ruff"), "check")


def test_every_file_is_formatted():
    check(str(BIN / "ruff"), "format", "--check")


def test_every_type_holds():
    check(str(BIN / "mypy"))


def test_every_import_points_one_way():
    check(str(BIN / "lint-imports"), "--no-cache")


def contracts() -> list[dict[str, Any]]:
    """Read the import contracts."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = config["tool"]["importlinter"]["contracts"]
    return found


def test_every_module_of_twinstack_has_its_layer():
    layers = next(contract["layers"] for contract in contracts() if contract["id"] == "layers")
    placed = {word for layer in layers for word in re.findall(r"twinstack\.(\w+)", layer)}
    modules = {
        path.stem
        for path in (ROOT / "twinstack").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"__init__"}
    assert modules <= placed


@pytest.mark.parametrize("file", [ROOT / "tasks.py", *sorted((ROOT / "front").glob("*.py"))])
def test_tasks_import_only_what_they_hand_over_to(file):
    imported = imported_by(ast.parse(file.read_text()))
    assert {name.partition(".")[0] for name in imported} <= TASKS_MAY_IMPORT


def imported_by(tree: ast.Module) -> set[str]:
    """Name the modules that a module imports, at any depth."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    return imported


@pytest.mark.parametrize("word", [*HOSTS, *MACHINE_PATHS])
def test_no_committed_file_names_a_package_index_or_a_machine_path(word):
    naming = [
        str(path.relative_to(ROOT))
        for path in committed_files()
        if word.encode() in path.read_bytes()
    ]
    assert naming == []


IMPORT = re.compile(
    r"from ((?:twinstack|bench|front|tests)[\w.]*) import ([\w, ]+)|"
    r"import ((?:twinstack|bench|front|tests)[\w.]*)"
)


def imports_in_strings(file: Path) -> list[str]:
    """Give each dotted name that a program written in a string of `file` imports."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [
        f"{module or plain}.{name.split(' as ')[0].strip()}".rstrip(".")
        for text in texts
        for module, names, plain in IMPORT.findall(text)
        for name in (names or "").split(",")
    ]


def test_programs_in_strings_import_what_exists():
    files = [path for path in committed_files() if path.suffix == ".py" and path != Path(__file__)]
    names = {(file, name) for file in files for name in imports_in_strings(file)}
    assert names
    missing = []
    for file, name in sorted(names):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            missing.append(f"{file.relative_to(ROOT)}: {name}")
    assert missing == []


def test_no_test_module_imports_another():
    importing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in imported_by(ast.parse(path.read_text()))
        if name.partition(".")[0] == "tests" and not f"{name}.".startswith("tests.support.")
    ]
    assert importing == []


def test_every_pure_module_has_its_test_file():
    missing = [
        f"{path}: {expected.relative_to(ROOT)}"
        for path, tree in modules()
        if path.stem != "__init__" and is_pure(path, tree)
        for expected in [file_of_test(path)]
        if not expected.is_file()
    ]
    assert missing == []


def is_pure(path: Path, tree: ast.Module) -> bool:
    """Whether a module's docstring says "pure", or the import contract of that name holds it."""
    pure = next(contract for contract in contracts() if contract["id"] == "pure")
    name = ".".join(path.with_suffix("").parts)
    held = any(f"{name}.".startswith(f"{source}.") for source in pure["source_modules"])
    return held or bool(re.search(r"\bpure\b", ast.get_docstring(tree) or "", re.IGNORECASE))


def file_of_test(path: Path) -> Path:
    parts = path.parts[1:] if path.parts[0] == "twinstack" else path.parts
    return ROOT.joinpath("tests", "pure", *parts[:-1], f"test_{parts[-1]}")


def test_no_two_public_classes_share_a_name():
    names = Counter(
        node.name
        for _, tree in modules()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_the_formatter_is_skipped_for_tables_of_data_alone():
    skips = [
        (path, number, line)
        for path in committed_files()
        if path.suffix == ".py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*(fmt|yapf)\s*:", line)
    ]
    others = [
        f"{path.relative_to(ROOT)}:{number}"
        for path, number, line in skips
        if "skip" not in line or not ends_a_table(path, number)
    ]
    assert others == []
    assert len(skips) <= 20


def ends_a_table(path: Path, number: int) -> bool:
    """Whether a module's assignment of a collection ends at a line."""
    (node,) = [node for node in ast.parse(path.read_text()).body if node.end_lineno == number]
    return isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(
        node.value, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Call
    )


def test_every_requirement_is_pinned():
    files = [*ROOT.glob("requirements*.txt"), ROOT / "constraints.txt"]
    files += [ROOT / "services/requirements.txt", ROOT / "docs/requirements.txt"]
    loose = [
        f"{path.name}: {line}"
        for path in files
        for line in path.read_text().splitlines()
        if line.strip()
        and not line.startswith(("#", "-r "))
        and not re.fullmatch(r"[\w.\[\],-]+==[\w.+!]+(\s*;.*|\s+#.*)?", line)
    ]
    assert loose == []


def test_every_script_can_be_run():
    scripts = [path for path in committed_files() if path.read_bytes().startswith(b"#!/bin/")]
    scripts = [path for path in scripts if path.parent.name in {"scripts", ".ci"}]
    assert scripts
    assert [path for path in scripts if not os.access(path, os.X_OK)] == []
    for script in scripts:
        check("bash", "-n", str(script))
