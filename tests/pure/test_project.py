"""The project's own rules: style, types, imports, and no machine's own words in what is kept."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.project import ROOT, committed_files

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


def test_every_module_of_twinstack_has_its_layer():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = config["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["id"] == "layers")
    placed = {word for layer in layers for word in re.findall(r"twinstack\.(\w+)", layer)}
    modules = {
        path.stem
        for path in (ROOT / "twinstack").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    } - {"__init__"}
    assert modules <= placed


@pytest.mark.parametrize("file", [ROOT / "tasks.py", *sorted((ROOT / "front").glob("*.py"))])
def test_tasks_import_only_what_they_hand_over_to(file):
    tree = ast.parse(file.read_text())
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= TASKS_MAY_IMPORT


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


def test_every_requirement_is_pinned():
    files = [*ROOT.glob("requirements*.txt"), ROOT / "constraints.txt"]
    files.append(ROOT / "services" / "requirements.txt")
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
