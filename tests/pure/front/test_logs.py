"""The logs tasks: how services are named at the command line, and what is printed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from invoke.exceptions import ParseError
from invoke.parser.parser import Parser

import tasks
from front import logs, reporting
from tests.support.core_cases import planned
from twinstack.errors import NOTHING, Missing
from twinstack.model.plan import Plan
from twinstack.namespaces.log_file import LogFile


class Files:
    """A world with the logs of a directory."""

    plan: Plan = planned("flat")

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def log_names(self) -> tuple[str, ...]:
        return tuple(path.stem for path in self.directory.glob("*.log"))

    def log_reader(self, replica: str) -> LogFile:
        return LogFile(self.directory / f"{replica}.log")


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Files:
    for replica, times in {"nginx-lb": (1, 4), "product-service-2": (2, 3)}.items():
        events = [
            {"time": time, "level": ("info", "error")[time % 2], "request_id": f"r-{time // 2}"}
            for time in times
        ]
        lines = "".join(f"{json.dumps(event)}\n" for event in events)
        (tmp_path / f"{replica}.log").write_text(lines)
    return Files(tmp_path)


def asked(*services: str, **options: Any) -> logs.LogOptions:
    given = {
        "lines": None,
        "follow": False,
        "since": "",
        "level": "",
        "request": "",
        "json": False,
        **options,
    }
    return logs.LogOptions(services, **given)


def parsed(*words: str) -> list[tuple[str | None, dict[str, Any]]]:
    contexts = Parser(tasks.namespace.to_contexts()).parse_argv(list(words))
    return [(context.name, context.as_kwargs) for context in contexts if context.name]


@pytest.mark.parametrize(
    ("words", "services"),
    [
        ("net.logs", []),
        ("net.logs api-gateway", ["api-gateway"]),
        ("net.logs api-gateway order-service --follow", ["api-gateway", "order-service"]),
        ("net.logs --follow -n 5 a --level error b -j c", ["a", "b", "c"]),
        ("net.logs --service health a", ["health", "a"]),
        ("docker.logs -f a", ["a"]),
        ("overlay.logs a b --ssh", ["a", "b"]),
    ],
)
def test_any_number_of_services_may_be_named(words: str, services: list[str]) -> None:
    ((_, values),) = parsed(*words.split())
    assert values["service"] == services


def test_the_name_of_a_task_is_the_next_task() -> None:
    assert [
        (name, values.get("service")) for name, values in parsed("net.logs", "a", "health")
    ] == [
        ("net.logs", ["a"]),
        ("health", None),
    ]


def test_options_among_services_keep_their_values() -> None:
    ((_, values),) = parsed("net.logs", "a", "--lines", "7", "b", "--since=10m")
    assert (values["lines"], values["since"], values["follow"]) == (7, "10m", False)
    assert parsed("overlay.logs", "a", "--ssh=-i KEY")[0][1]["ssh"] == "-i KEY"
    assert parsed("net.logs")[0][1]["lines"] is None


@pytest.mark.parametrize(
    "words", ["net.logs --bogus", "net.logs a --bogus", "overlay.logs --ssh a"]
)
def test_what_is_no_service_is_refused(words: str) -> None:
    with pytest.raises(ParseError):
        parsed(*words.split())


def test_lines_are_printed_in_order_after_their_replica(
    world: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.show(world, asked(), "net")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "nginx-lb         ",
        "product-service-2",
        "product-service-2",
        "nginx-lb         ",
    ]
    assert [json.loads(line.split(" | ")[1])["time"] for line in lines] == [1, 2, 3, 4]


def test_each_json_line_is_a_document(world: Files, capsys: pytest.CaptureFixture[str]) -> None:
    logs.show(world, asked("product-service", json=True, lines=1), "net")
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert (document["replica"], document["service"]) == ("product-service-2", "product-service")
    assert (document["time"], document["level"]) == ("1970-01-01T00:00:03.000Z", "error")


def test_an_output_that_knows_ascii_alone_gets_json_that_is_whole(
    world: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.directory / "redis-cache.log").write_text("→\n")
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", narrow)
    logs.show(world, asked("redis-cache", json=True), "net")
    narrow.seek(0)
    assert json.loads(narrow.read())["text"] == "→"


def test_lines_are_chosen_by_level_and_request(
    world: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, times in (({"level": "error"}, [1, 3]), ({"request": "r-1"}, [2, 3])):
        logs.show(world, asked(**options), "net")
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line.split(" | ")[1])["time"] for line in lines] == times


def test_since_shows_all_since_then_unless_lines_are_given() -> None:
    assert asked().last == 50
    assert asked(since="10m").last is None
    assert asked(since="10m", lines=3).last == 3


def test_a_log_without_a_line_is_said_and_no_failure(
    world: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.directory / "redis-cache.log").touch()
    logs.show(world, asked("redis-cache"), "net")
    logs.show(world, asked(level="critical"), "net")
    done = capsys.readouterr()
    assert done.out == ""
    assert done.err.splitlines() == [
        "redis-cache: nothing is logged",
        "every service: nothing like that is logged",
    ]


ABSENCE = Missing("net world", "is not up")


def test_what_a_world_logged_that_is_down_is_shown_and_is_2(
    world: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Missing) as left:
        logs.show(world, asked(), "net", ABSENCE)
    done = capsys.readouterr()
    assert (left.value, len(done.out.splitlines()), done.err) == (ABSENCE, 4, "")


@pytest.mark.parametrize(
    ("services", "options", "up", "code", "says"),
    [
        (("nobody",), {}, True, 64, "nobody: is no service: "),
        ((), {"since": "soon"}, True, 64, "--since: cannot be soon: "),
        ((), {"level": "loud"}, True, 64, "--level: cannot be loud: "),
        ((), {"follow": True}, False, NOTHING, "net world: is not up"),
        (("redis-cache",), {}, True, NOTHING, "redis-cache: is not there; run: invoke net.up"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    world: Files,
    services: tuple[str, ...],
    options: dict[str, Any],
    up: bool,
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def body() -> None:
        logs.show(world, asked(*services, **options), "net", None if up else ABSENCE)

    with pytest.raises(SystemExit) as left:
        reporting.guarded(body)()
    done = capsys.readouterr()
    assert (left.value.code, done.out, len(done.err.splitlines())) == (code, "", 1)
    assert done.err.startswith(says)
