"""The shell completes what Invoke does not: services, replicas, worlds, shapes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from invoke.parser import Parser

import tasks
from front import completion
from tests.support.project import ROOT

INVOKE = Path(sys.executable).with_name("invoke")


def candidates(line: str, topology: Path = ROOT / "topology.yml") -> list[str]:
    contexts = Parser(contexts=tasks.namespace.to_contexts()).contexts
    return list(completion.candidates(f"invoke {line}", contexts, lambda: topology))


@pytest.mark.parametrize(
    ("line", "has", "has_not"),
    [
        ("net.exec", {"nginx-lb", "product-service-3"}, {"net", "product-service=", "net.exec"}),
        ("net.exec ng", {"nginx-lb"}, {"net.up"}),
        ("docker.scale", {"product-service="}, {"product-service"}),
        ("net.up --shape", {"flat", "tiered"}, {"net"}),
        ("net.up --shape ti", {"tiered"}, {"net.up"}),
        ("traffic.capture -w", {"net", "docker"}, {"both"}),
        ("health --world", {"net", "docker", "both"}, {"overlay"}),
        ("chaos --world", {"overlay"}, {"both"}),
        ("net.up topology --format s", {"svg"}, {"net.up"}),
        ("net.release product-service --how", {"canary"}, {"nginx-lb"}),
        ("flows --from", {"product-service-2", "outside"}, {"net"}),
        ("flows --verdict", {"dropped"}, {"nginx-lb"}),
        ("overlay.exec", {"host-1"}, {"nginx-lb"}),
        ("net.logs nginx-lb", {"redis-cache"}, {"net.up"}),
        ("net.logs nginx-lb red", {"redis-cache"}, {"net.up"}),
    ],
)
def test_a_value_is_completed(line: str, has: set[str], has_not: set[str]) -> None:
    found = set(candidates(line))
    assert has <= found
    assert not has_not & found


@pytest.mark.parametrize(
    "line",
    [
        "",  # nothing yet: a task
        "net.",
        "net.up",
        "net.exec nginx-lb",  # finished: the next task
        "net.exec --",
        "net.up --timeout",  # any number
        "net.release product-service --from",  # a file: the shell's own
        "net.up 'open",
    ],
)
def test_what_is_no_value_of_ours_is_left_to_invoke_and_the_shell(line: str) -> None:
    assert candidates(line) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("net.exec", "ng"), ["nginx-lb"]),
        (("net.up", "--shape", ""), ["flat", "tiered"]),
        (("net.u",), ["net.up"]),
        (("net.exec", "--he"), []),
        (("net.up", "--no-p"), ["--no-policy"]),
    ],
)
def test_bash_completes(words: tuple[str, ...], expected: list[str]) -> None:
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""
        source <({INVOKE} --print-completion-script bash)
        invoke() {{ {INVOKE} "$@"; }}
        COMP_WORDS=(invoke {quoted})
        _complete_invoke invoke '{words[-1]}' ''
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == expected, done.stderr


def test_help_shows_the_arguments_of_a_task() -> None:
    done = subprocess.run(
        [INVOKE, "--help", "net.exec"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "[--core-opts] net.exec SERVICE [--options]" in done.stdout
