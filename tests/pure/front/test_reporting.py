"""What every task shares: answers that the terminal can show, and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from front import policy, reporting
from tests.support.core_cases import TEXT
from tests.support.project import ROOT
from tests.support.tasks import call, raising
from twinstack.errors import (
    WRONG_USE,
    CannotTell,
    Missing,
    SeveralFailed,
    StepFailed,
    TopologyError,
    TwinstackError,
    WrongUse,
)


def test_no_word_of_others_orders_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = StepFailed("veth \x9b2J", "cannot be made")
    error.add_note("one\n\ttwo \x1b]0;pwned\x07\x1b[2J\u202e")
    assert raising(error) == 1
    reporting.answer(False, {}, "\x1b[31mred\nnot red")
    output = capsys.readouterr()
    assert "one\n\ttwo \\x1b]0;pwned\\x07\\x1b[2J\\x202e\nveth \\x9b2J: cannot" in output.err
    assert output.out == "\\x1b[31mred\nnot red\n"
    document = {"a": "\x1b\x9b\u202e\ud800 – \U000e0001"}
    reporting.answer(True, document, "")
    out = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert "–" in out
    assert json.loads(out)["a"] == document["a"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StepFailed("x", "failed"), 1),
        (Missing("root", "is missing"), 2),
        (CannotTell("x", "cannot be told"), 2),
        (WrongUse("--x", "cannot be 0"), 64),
        (TopologyError("topology.yml", [TwinstackError("a", "is no name")]), 64),
        (SeveralFailed("x", [StepFailed("y", "failed"), Missing("z", "is missing")]), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_the_exit_code_tells_a_failure_from_a_wrong_use_and_from_nothing_to_look_at(
    error: BaseException, code: int
) -> None:
    assert raising(error) == code


def test_every_mistake_of_a_topology_is_one_line_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "topology.yml"
    file.write_text(
        TEXT.replace("    port: 3000", "    port: 70000").replace("[redis.acl]", "[token]")
    )
    monkeypatch.setenv("TWINSTACK_TOPOLOGY", str(file))
    assert call(policy.policy_show) == WRONG_USE
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert (out, len(lines)) == ("", 3)
    assert all(re.match(rf"{file}:\d+:\d+: services\.", line) for line in lines[:2])
    assert lines[2] == f"{file}: 2 mistakes: nothing was done; correct them, run again"


@pytest.mark.parametrize(
    "words", [["--list"], ["--help", "net.up"], ["policy.show"], ["bench.history", "startup"]]
)
def test_an_output_that_nobody_reads_is_141_without_a_word(words: list[str]) -> None:
    invoke = Path(sys.executable).with_name("invoke")
    buffered = {key: text for key, text in os.environ.items() if key != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [invoke, *words],
            cwd=ROOT,
            env=buffered,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
