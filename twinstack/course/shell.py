"""Run the commands that a lesson's parts are written in, with bash, each within a bound."""

from __future__ import annotations

import subprocess

_BOUND_S = 60


def succeeds(command: str) -> bool:
    """Tell whether a command exits 0 within its bound."""
    done = _run(command)
    return done is not None and done.returncode == 0


def lines(command: str) -> tuple[str, ...]:
    """Give what a command prints, line by line; nothing where it fails."""
    done = _run(command)
    return tuple(done.stdout.split("\n")) if done is not None and done.returncode == 0 else ()


def first_line(command: str) -> str:
    """Give the first line that a command prints, or ""."""
    return next((line.strip() for line in lines(command) if line.strip()), "")


def is_printed(text: str, command: str) -> bool:
    """Tell whether a command prints a line that is `text`, but for blanks and case."""
    printed = {" ".join(line.lower().split()) for line in lines(command)} - {""}
    return " ".join(text.lower().split()) in printed


def _run(command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_BOUND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
