"""What every task shares: answers that the terminal can show, and exit codes."""

from __future__ import annotations

import json

import pytest

from front import reporting
from tests.support.tasks import raising
from twinstack.errors import CannotTell, Missing, StepFailed


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
    assert json.loads(out) == document


@pytest.mark.parametrize(
    ("error", "acting", "looking"),
    [
        (Missing("root", "is missing"), 1, 2),
        (CannotTell("x", "cannot be told"), 1, 2),
        (StepFailed("x", "failed"), 1, 1),
        (KeyboardInterrupt(), 130, 130),
        (BrokenPipeError(), 141, 141),
    ],
)
def test_exit_code_tells_a_failure_from_what_could_not_be_checked(
    error: BaseException, acting: int, looking: int
) -> None:
    assert raising(error) == acting
    assert raising(error, undecided=2) == looking
