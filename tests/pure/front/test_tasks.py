"""The front door: every failure is one line and an exit code; nothing is looked at too early."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.context import Context

import tasks
from front import bench, clean, doctor, invocation, reporting
from front import docker as docker_tasks
from front import net as net_tasks
from tests.support import task_server
from tests.support.project import ROOT
from tests.support.tasks import FakeNet, call
from twinstack import stack
from twinstack.errors import NOTHING, WRONG_USE, CannotTell


@pytest.mark.parametrize("task", [net_tasks.net_status, docker_tasks.docker_status, doctor.doctor])
def test_what_could_not_be_checked_is_neither_a_pass_nor_a_failure(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise CannotTell("x", "cannot be checked")

    monkeypatch.setattr(stack, "from_environment", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert call(task) == NOTHING


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (net_tasks.net_up, {}),
        (net_tasks.net_down, {}),
        (net_tasks.net_status, {}),
        (net_tasks.net_plan, {}),
        (net_tasks.net_logs, {"service": ["nginx-lb"]}),
        (clean.clean, {}),
        (bench.bench, {"allow": []}),
        (bench.bench_chain, {}),
    ],
)
def test_root_is_required_before_anything_is_done(
    net: FakeNet,
    task: Any,
    words: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call(task, **words) == NOTHING
    assert "this needs root; run it with sudo" in capsys.readouterr().err
    assert net.did == []


def test_timeout_that_cannot_be_is_refused_first(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(net_tasks.net_up, timeout=0) == WRONG_USE
    assert call(docker_tasks.docker_up, timeout=-1) == WRONG_USE
    assert net.did == []
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_world_that_is_down_is_reported_without_looking_for_software(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    net.state = "absent"
    assert call(net_tasks.net_status) == NOTHING
    assert "net world: is not up" in capsys.readouterr().out
    assert call(net_tasks.net_status, json=True) == NOTHING
    assert json.loads(capsys.readouterr().out)["differences"] == []
    assert net.did == []


def test_status_passes_only_when_all_is_as_planned(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(net_tasks.net_status) == 0
    step = SimpleNamespace(name="bridge br-app", commands=())
    net.changes = (SimpleNamespace(step=step, reason="is absent"),)
    assert call(net_tasks.net_status) == 1
    assert "! bridge br-app is absent" in capsys.readouterr().out
    net.changes, net.unbuilt = (), ("packages are to be built first",)
    assert call(net_tasks.net_status) == 1
    assert "packages are to be built first" in capsys.readouterr().out


def test_a_script_is_written_of_the_plan_alone(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # nothing is looked at: no root is needed
    assert call(net_tasks.net_plan, script=True) == 0
    assert capsys.readouterr().out.startswith("#!/bin/sh")
    assert net.did == []


def test_a_plan_says_what_must_be_built_first(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    net.unbuilt = ("packages are to be built first",)
    assert call(net_tasks.net_plan) == 0
    assert capsys.readouterr().out.startswith("packages are to be built first\n")
    assert call(net_tasks.net_plan, json=True) == 0
    assert json.loads(capsys.readouterr().out)["unbuilt"] == list(net.unbuilt)


def test_clean_names_the_instance_before_it_removes(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(clean.clean) == 0
    done = capsys.readouterr()
    assert done.err.splitlines()[0] == "instance lab"
    assert done.out == "removed thing\n"
    assert call(clean.clean, keep_data=True) == 0
    assert net.did == ["clean", "clean, stores kept"]


def test_clean_lists_what_would_go_and_does_nothing(
    net: FakeNet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(clean.clean, dry_run=True) == 0
    assert capsys.readouterr().out == "would remove thing\nwould remove data\n"
    assert call(clean.clean, dry_run=True, keep_data=True, json=True) == 0
    assert json.loads(capsys.readouterr().out)["would_remove"] == ["thing", "logs"]
    assert net.did == []


def test_logs_need_a_line(net: FakeNet, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(net_tasks.net_logs, service=["nginx-lb"], lines=0) == WRONG_USE
    assert call(docker_tasks.docker_logs, service=["nginx-lb"], lines=-1) == WRONG_USE
    assert "--lines: cannot be 0" in capsys.readouterr().err


def test_json_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    reporting.show(True, {"p99_ms": float("nan")}, "")
    assert json.loads(capsys.readouterr().out)["p99_ms"] is None


def test_system_programs_are_found_on_any_path() -> None:
    assert invocation.full_path("/bin") == "/bin:/usr/local/sbin:/usr/sbin:/sbin"
    assert invocation.full_path("/sbin:/bin").startswith("/sbin:/bin:")
    assert invocation.full_path("/sbin:/bin").split(":").count("/sbin") == 1
    assert {"/usr/local/sbin", "/usr/sbin", "/sbin"} <= set(os.environ["PATH"].split(":"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("bench", "--requests", "ten"), "--requests: cannot be ten: it is a whole number"),
        (("bench", "--minutes", "ten"), "--minutes: cannot be ten: it is a number"),
        (("net.up", "--timeout=1.5"), "--timeout: cannot be 1.5: it is a whole number"),
        (("bench", "--minutes", "0"), "--minutes: cannot be 0.0: it is 0.05 to 240"),
        (("net.up", "--timeout=0"), "--timeout: cannot be 0: "),
        (("net.logs", "--bogus"), "No idea what '--bogus' is!"),
        (("net.exec",), "'net.exec' did not receive required positional arguments: 'service'"),
        (("net.logs", "--lines", "many"), "--lines: cannot be many: it is a whole number"),
    ],
)
def test_a_wrong_value_is_one_line_at_the_command_line(
    words: tuple[str, ...], expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TWINSTACK_INSTANCE": "none"},
    )
    assert done.returncode == WRONG_USE
    assert done.stdout == ""
    assert done.stderr.startswith(expected)
    assert len(done.stderr.splitlines()) == 1


def test_a_task_that_passes_lets_the_next_one_run(net: FakeNet) -> None:
    docker_tasks.docker_status(Context())  # raises no SystemExit
    net_tasks.net_status(Context())
    assert net.did == ["preview"]


@pytest.mark.parametrize(
    ("words", "option", "expected"),
    [
        (("bench", "--help"), "--requests=INT", "number of requests in one"),
        (("net.logs", "--help"), "--lines=INT", "how many of the last"),
        (("--help", "net.logs"), "--lines=INT", "how many of the last"),
        (("net.logs", "--help"), "net.logs [SERVICE …] [--options]", "Docstring"),
        (("net.exec", "--help"), "net.exec SERVICE [--options]", "Docstring"),
    ],
)
def test_options_keep_their_help(words: tuple[str, ...], option: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert option in done.stdout
    assert expected in done.stdout


def test_an_output_that_knows_ascii_alone_is_no_traceback() -> None:
    lines = [["--list"], ["policy.show"], ["policy.show", "--json"], ["doctor"], ["net.logs", "ü→"]]
    lines += [[name, "--help"] for name, _ in every_task()]
    own = {**os.environ, "PYTHONIOENCODING": "ascii", "TWINSTACK_INSTANCE": "t-ascii"}
    for line in lines:
        done = task_server.run(0, own, line, 20)
        assert (done.stdout + done.stderr).isascii(), line
        assert "Traceback" not in done.stderr, line
        assert done.returncode == 0 or line[-1] != "--help", line


def test_json_keeps_what_an_output_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    reporting.show(True, {"→": "µ"}, "")
    narrow.seek(0)
    assert json.load(narrow)["→"] == "µ"


def test_the_front_door_is_short() -> None:
    files = [ROOT / "tasks.py", *(ROOT / "front").glob("*.py")]
    assert [file.name for file in files if len(file.read_text().splitlines()) > 400] == []


def test_a_task_does_not_wait_for_what_only_others_need():
    script = "import sys, tasks; print(*(m for m in ('numpy', 'rich') if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, text=True, check=True, stdout=subprocess.PIPE
    )
    assert done.stdout.split() == []


def test_a_letter_means_the_same_in_every_task_and_h_is_help() -> None:
    meant: dict[str, set[str]] = {}
    for name, task in every_task():
        for argument in task.get_arguments():
            assert argument.help, (name, argument.name)
            assert "<class" not in argument.help, (name, argument.name)
            for letter in argument.names[1:]:
                meant.setdefault(letter, set()).add(str(argument.name))
    assert {letter: names for letter, names in meant.items() if len(names) > 1} == {}
    assert {"j", "w"} <= meant.keys()
    assert "h" not in meant


def every_task() -> Iterator[tuple[str, Any]]:
    yield from tasks.namespace.tasks.items()
    for noun, collection in tasks.namespace.collections.items():
        yield from ((f"{noun}.{name}", task) for name, task in collection.tasks.items())


def test_help_says_the_default() -> None:
    (timeout,) = (
        argument for argument in net_tasks.net_up.get_arguments() if argument.name == "timeout"
    )
    assert timeout.help == "seconds to wait until every service is healthy (default: 60)"
