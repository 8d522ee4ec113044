"""The repository: its root, the files that git keeps, its packages' modules."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("twinstack", "bench", "front", "services")


def committed_files() -> list[Path]:
    """List what git keeps, or every file where this is no git clone."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        skipped = {".venv", ".git", "wheelhouse", "__pycache__"}
        files = [path for path in ROOT.rglob("*") if not skipped & set(path.parts)]
    return [path for path in files if path.is_file()]


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Parse each module of our packages, by its path from the root."""
    for path in committed_files():
        relative = path.relative_to(ROOT)
        if path.suffix == ".py" and relative.parts[0] in PACKAGES:
            yield relative, ast.parse(path.read_text())
