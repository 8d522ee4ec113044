from __future__ import annotations

from twinstack.tour import page


def test_a_head_is_no_wider_than_the_terminal() -> None:
    text = "A container's network is a namespace. It has links of its own."
    assert page.head(2, 9, "A bridge", text, 40) == [
        "",
        "-- 2 of 9: A bridge --------------------",
        "A container's network is a namespace. It",
        "has links of its own.",
        "",
    ]
    assert max(map(len, page.head(2, 9, "A bridge", text, 200))) == 80


def test_a_command_of_several_lines_is_shown_as_bash_takes_it() -> None:
    assert page.typed("for n in 1 2; do\n    date\ndone") == [
        "$ for n in 1 2; do",
        ">     date",
        "> done",
    ]


def test_output_is_shown_until_the_screen_is_full_and_the_rest_is_counted() -> None:
    left = page.room(["a title", "x" * 81], columns=80, height=12)  # three rows, and two spared
    assert left.left == 7
    shown = [line for line in ["y" * 161, "2", "3", "4", "z" * 81, "5"] if left.takes(line)]
    assert shown == ["y" * 161, "2", "3", "4"]
    assert left.rest() == ["... and 2 more lines"]
    assert left.rest() == []
    assert left.takes("of the next command")


def test_a_low_terminal_scrolls_rather_than_hide_all_output() -> None:
    assert page.room(["text"] * 20, columns=80, height=10).left == 5


def test_an_empty_line_takes_a_row() -> None:
    assert page.rows(["", "a", "b" * 80, "c" * 81], 80) == 5
