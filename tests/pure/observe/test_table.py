"""Tables fit a width; cells may be text, numbers or bars; sizes and durations are readable."""

from __future__ import annotations

import pytest

from twinstack.observe.table import (
    NOTHING,
    Column,
    TableCell,
    duration,
    section,
    section_text,
    size,
)


def test_shortened_cells_stay_different():
    paths = [f"POST /v1/services/product-service/product-service-{n}/heartbeat" for n in (2, 3)]
    table = section("http", "HTTP", "n", "from, ~request", [("product-service", p) for p in paths])
    lines = section_text(table, 41).splitlines()
    assert lines[2:] == [
        "product-service  POST /v1/se…-2/heartbeat",
        "product-service  POST /v1/se…-3/heartbeat",
    ]
    assert max(map(len, lines)) <= 41


def test_a_section_is_built_from_plain_values():
    row = ("a", TableCell("1 B", 1), 5, None)
    table = section("k", "T", "n", "name, >size, >?p99, ~path", [row])
    assert table.columns == (
        Column("name"),
        Column("size", number=True),
        Column("p99", number=True, optional=True),
        Column("path", flexible=True),
    )
    ((name, size, p99, path),) = table.rows
    assert (name.text, size.part, p99.text, path) == ("a", 1.0, "5", NOTHING)


def test_optional_columns_go_first_where_there_is_no_room():
    table = section("k", "T", "n", "name, ?more", [("a" * 10, "b" * 10)])
    assert section_text(table, 80).splitlines()[2] == "a" * 10 + "  " + "b" * 10
    assert section_text(table, 15).splitlines()[1:] == [
        "name",
        "a" * 10,
        "not shown: more; a wider terminal or --json shows all",
    ]


def test_other_columns_go_from_the_right_down_to_two_and_are_named():
    table = section("k", "T", "n", "from, to, >count, >size", [("a" * 9, "b" * 9, 1, 22)])
    assert section_text(table, 20).splitlines()[1:] == [
        "from       to",
        f"{'a' * 9}  {'b' * 9}",
        "not shown: count, size; a wider terminal or --json shows all",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 B"),
        (9999, "9999 B"),
        (10_000, "10.0 kB"),
        (123_456, "123 kB"),
        (5_500_000, "5.5 MB"),
        (10**15, "1 PB"),
        (10**18, "1000 PB"),
    ],
)
def test_bytes_are_readable(value: int, expected: str):
    assert size(value) == expected


@pytest.mark.parametrize(
    ("us", "expected"),
    [(0.4, "0 µs"), (999, "999 µs"), (1500, "1.5 ms"), (250_000, "250 ms"), (2_500_000, "2.5 s")],
)
def test_times_are_readable(us: float, expected: str):
    assert duration(us) == expected
