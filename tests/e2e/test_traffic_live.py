"""Live captures of a running world: counted as tshark counts, bounded, private, ended cleanly."""

from __future__ import annotations

import json
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support import craft
from tests.support.sandbox import INVOKE, Sandbox
from twinstack.observe.traffic.capture_file import open_capture

pytestmark = pytest.mark.e2e

ASKED = 12


def captured(
    flat: Sandbox,
    out: Path,
    *words: str,
    ask: int = ASKED,
    first: Callable[[str], None] = lambda _command: None,
) -> dict[str, Any]:
    """Capture until told to stop, while the edge is asked so often; give what was told.

    `first` is done before, with the last command that the capture said it equals.
    """
    process = flat.start(
        INVOKE,
        "traffic.capture",
        "--seconds",
        "0",
        "--json",
        "--out",
        str(out),
        *words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        told = [process.stderr.readline()]
        while not told[-1].startswith("capturing"):
            told.append(process.stderr.readline())
            assert told[-1], told
        first(told[-2].strip())
        for number in range(ask):
            flat.fetch(f"http://10.0.0.10/api/products/{1 + number % 5}")
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(said)
    return found


def test_counts_on_every_link_equal_tsharks_and_the_kernels(flat: Sandbox, tmp_path: Path) -> None:
    found = captured(flat, tmp_path / "all", "--everything", "--rotate", "1")
    assert found["interrupted"]
    assert len(found["links"]) == 1 + 2 * 9
    for one in found["links"]:
        (file,) = map(Path, one["files"])
        assert one["dropped"] == one["unkept"] == one["discarded"] == 0
        (interface,) = _interfaces(file)
        assert interface == one["link"]
    busy = [one for one in found["links"] if one["packets"] > ASKED]
    assert len(busy) >= 7  # bridge, edge, gateway and what is behind them
    for one in (*busy[:3], *busy[-3:]):
        counted = craft.tshark_counts(Path(one["files"][0]))
        assert counted == (one["packets"], one["bytes"]), one["link"]
    assert wiresharks(found) == {
        one["link"]: (one["packets"], one["bytes"]) for one in found["links"]
    }
    report = craft.report(*(Path(name) for one in found["links"] for name in one["files"]))
    assert {place.name: (place.packets, place.bytes) for place in report.places} == {
        one["link"]: (one["packets"], one["bytes"]) for one in found["links"]
    }
    # Every link saw them: the report counts them as the client's end of the edge does, once.
    edge = craft.pair(report, "host", "nginx-lb")
    file = tmp_path / "all" / "nginx-lb.eth0.pcapng"
    assert edge.packets == craft.tshark_matching(file, "tcp.port == 80")
    assert edge.connections == ASKED
    assert sum(one.count for one in report.http if one.client == "host") == ASKED


def wiresharks(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Ask capinfos for packets and bytes of every file, in one go."""
    files = {one["files"][0]: one["link"] for one in found["links"]}
    told = subprocess.run(
        ["capinfos", "-TrMcd", *files], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split("\t") for line in told.splitlines()]
    return {files[row[0]]: (int(row[1]), int(row[2])) for row in rows}


def _interfaces(file: Path) -> list[str]:
    opened = open_capture(file)
    for _ in opened.batches():
        pass
    return [one.name for one in opened.interfaces]


def test_the_command_that_it_equals_captures_the_same(flat: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    running: list[subprocess.Popen[str]] = []

    def start(command: str) -> None:
        words = shlex.split(command.replace(str(tmp_path / "ours"), str(tmp_path / "theirs")))
        running.append(flat.start(*words, stderr=subprocess.PIPE))
        assert running[0].stderr is not None
        while not running[0].stderr.readline().startswith("File: "):
            assert running[0].poll() is None

    try:
        found = captured(flat, tmp_path / "ours", "--link", "nginx-lb/eth0", first=start)
        time.sleep(0.5)
        running[0].send_signal(signal.SIGINT)
        running[0].wait(timeout=10)
    finally:
        for one in running:
            one.kill()
            one.wait()
    (ours,) = (Path(name) for name in found["links"][0]["files"])
    (other,) = (tmp_path / "theirs").iterdir()
    matching = "tcp.port == 80"
    assert craft.tshark_matching(ours, matching) == craft.tshark_matching(other, matching) > ASKED


def test_files_are_private_bounded_and_the_newest(flat: Sandbox, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    found = captured(
        flat, out, "--link", "nginx-lb", "--snap", "0", "--size", "1", "--rotate", "2", ask=1
    )
    (only,) = found["links"][0]["files"]
    assert Path(only).name.startswith("nginx-lb.ve-nginx-lb.")
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(only).stat().st_mode) == 0o600
    again = flat.invoke("traffic.capture", "--link", "nginx-lb", "--out", str(out), check=False)
    assert again.returncode == 1
    assert "is not overwritten: it exists already" in again.stderr


def test_a_live_report_names_who_asked_whom(flat: Sandbox) -> None:
    process = flat.start(
        INVOKE,
        "traffic.report",
        "--seconds",
        "4",
        "--json",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "capturing 9 links for 4 s\n"
    for _ in range(3):
        flat.fetch("http://localhost:8080/api/products/1")
    said, _ = process.communicate(timeout=30)
    report = json.loads(said)
    pairs = {(one["client"], one["server"]) for one in report["pairs"]}
    assert {("host", "nginx-lb"), ("nginx-lb", "api-gateway")} <= pairs
    asked = [one for one in report["http"] if one["client"] == "host"]
    assert [(one["server"], one["status"], one["count"]) for one in asked] == [("nginx-lb", 200, 3)]
    assert not [one for one in report["pairs"] if one["verdict"] == "undeclared"]


def test_a_journey_adds_up_and_tells_nat_and_the_rules_that_counted(
    flat: Sandbox, tmp_path: Path
) -> None:
    picture = tmp_path / "way.svg"
    told = flat.invoke("traffic.journey", "--svg", str(picture), "--json").stdout
    (found,) = json.loads(told)["journeys"]
    assert (found["world"], found["shape"], found["status"]) == ("net", "flat", 200)
    # Every moment from the client's begin to its end belongs to one step, and to no other.
    at = 0.0
    for step in found["steps"]:
        assert step["at_us"] == pytest.approx(at, abs=0.01)
        assert step["took_us"] > 0
        at += step["took_us"]
    assert at == pytest.approx(found["total_us"], abs=0.01)
    assert list(dict.fromkeys(one["stage"] for one in found["steps"])) == [
        "client → nginx-lb: connect",
        "client",
        "client → nginx-lb: request",
        "nginx-lb",
        "nginx-lb → api-gateway: request",
        "api-gateway",
        "api-gateway → product-service: request",
        "product-service",
        "product-service → redis-cache: request",
        "redis-cache",
        "product-service → redis-cache: answer",
        "api-gateway → product-service: answer",
        "nginx-lb → api-gateway: answer",
        "client → nginx-lb: answer",
    ]
    (rewrite,) = found["rewrites"]
    assert rewrite["before_ends"].endswith("→ 127.0.0.1:8080")
    assert rewrite["after_ends"].startswith("10.0.0.1:")
    assert rewrite["after_ends"].endswith("→ 10.0.0.10:80")
    counted = {
        one["rule"].rpartition(" -j ")[2].split()[0]: one["packets"]
        for one in found["rules"]
        if one["table"] == "nat"
    }
    assert counted["DNAT"] == counted["MASQUERADE"] == 1
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_bad_choices_are_one_line(flat: Sandbox, tmp_path: Path) -> None:
    for words, said in (
        (("capture", "--link", "nix", "--out", str(tmp_path / "x")), "--link nix: is not there"),
        (("journey", "--path", "x y"), "--path: cannot be 'x y'"),
    ):
        done = flat.invoke(f"traffic.{words[0]}", *words[1:], check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(said)
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()
