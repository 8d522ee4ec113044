"""The shell completes what Invoke does not: services, replicas, worlds, shapes."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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
        ("traffic.capture -w", {"net", "docker", "both"}, {"flat"}),
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


COMPLETED = {
    "net.exec ng": "net.exec nginx-lb",
    "net.up --shape ti": "net.up --shape tiered",
    "flows --verdict dr": "flows --verdict dropped",
    "net.u": "net.up",
}
#: Where `invoke` is, as an activated .venv has it.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{INVOKE.parent}:{os.environ['PATH']}",
    "HOME": "/nonexistent",
    "TERM": "xterm",
}


@pytest.mark.parametrize("line", COMPLETED)
def test_fish_completes(line: str) -> None:
    program = f'invoke --print-completion-script fish | source; complete -C "invoke {line}"'
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    words = [offered.split("\t")[0] for offered in done.stdout.splitlines()]
    assert words == [COMPLETED[line].split()[-1]], done.stderr


@pytest.fixture(scope="module")
def zsh() -> Iterator[Callable[[str], str]]:
    """Give a function that types a line, Tab and Enter into a zsh, and gives what was run."""
    shell, terminal = pty.fork()
    if not shell:
        os.chdir(ROOT)
        os.execvpe("zsh", ["zsh", "-f", "-i"], ENVIRONMENT)

    def read_until(end: str) -> str:
        text = ""
        while end not in text:
            ready, _, _ = select.select([terminal], [], [], 30)
            assert ready, text
            text += os.read(terminal, 4096).decode()
        return text

    def complete(line: str) -> str:
        # Control-A: what Tab made of the line becomes words to print between two marks.
        os.write(terminal, f"invoke {line}\t\x01print -r -- BEG''IN \x05 EN''D\r".encode())
        found = re.search(r"BEGIN invoke (.*?) *END", read_until("END"))
        assert found
        return found[1]

    try:
        os.write(terminal, b"PS1=; autoload -Uz compinit; compinit -uD\r")
        os.write(terminal, b"source <(invoke --print-completion-script zsh)\r")
        os.write(terminal, b"print rea''dy\r")
        read_until("ready")
        yield complete
    finally:
        os.close(terminal)
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)


@pytest.mark.parametrize("line", COMPLETED)
def test_zsh_completes(zsh: Callable[[str], str], line: str) -> None:
    assert zsh(line) == COMPLETED[line]


def test_help_shows_the_arguments_of_a_task() -> None:
    done = subprocess.run(
        [INVOKE, "--help", "net.exec"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "[--core-opts] net.exec SERVICE [--options]" in done.stdout
