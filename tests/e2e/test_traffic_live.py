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

REQUESTS = 12


def captured(
    flat: Sandbox,
    out: Path,
    *words: str,
    requests: int = REQUESTS,
    first: Callable[[str], None] = lambda _command: None,
) -> dict[str, Any]:
    """Capture until interrupted, while the edge gets requests; give the result.

    `first` is called before, with the last dumpcap command that the capture showed.
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
        lines = [process.stderr.readline()]
        while not lines[-1].startswith("capturing"):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        first(lines[-2].strip())
        for number in range(requests):
            flat.fetch(f"http://10.0.0.10/api/products/{1 + number % 5}")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    return result


def test_counts_on_every_link_equal_those_of_tshark(flat: Sandbox, tmp_path: Path) -> None:
    result = captured(flat, tmp_path / "all", "--everything", "--rotate", "1")
    assert result["interrupted"]
    assert len(result["links"]) == 1 + 2 * 9
    for link in result["links"]:
        (file,) = map(Path, link["files"])
        assert link["dropped"] == link["unkept"] == link["discarded"] == 0
        (interface,) = _interfaces(file)
        assert interface == link["link"]
    busy = [link for link in result["links"] if link["packets"] > REQUESTS]
    assert len(busy) >= 7  # bridge, edge, gateway and what is behind them
    for link in (*busy[:3], *busy[-3:]):
        counted = craft.tshark_counts(Path(link["files"][0]))
        assert counted == (link["packets"], link["bytes"]), link["link"]
    assert capinfos_counts(result) == {
        link["link"]: (link["packets"], link["bytes"]) for link in result["links"]
    }
    report = craft.report(*(Path(name) for link in result["links"] for name in link["files"]))
    assert {place.name: (place.packets, place.bytes) for place in report.places} == {
        link["link"]: (link["packets"], link["bytes"]) for link in result["links"]
    }
    # Every link saw them: the report counts them as the client's end of the edge does, once.
    edge = craft.pair(report, "host", "nginx-lb")
    file = tmp_path / "all" / "nginx-lb.eth0.pcapng"
    assert edge.packets == craft.tshark_matching(file, "tcp.port == 80")
    assert edge.connections == REQUESTS
    assert sum(http.count for http in report.http if http.client == "host") == REQUESTS


def capinfos_counts(result: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Ask capinfos for packets and bytes of every file, in one go."""
    files = {link["files"][0]: link["link"] for link in result["links"]}
    command = ["capinfos", "-TrMcd", *files]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in table.splitlines()]
    return {files[row[0]]: (int(row[1]), int(row[2])) for row in rows}


def _interfaces(file: Path) -> list[str]:
    capture = open_capture(file)
    for _ in capture.batches():
        pass
    return [interface.name for interface in capture.interfaces]


def test_the_dumpcap_command_captures_the_same(flat: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    running: list[subprocess.Popen[str]] = []

    def start(command: str) -> None:
        words = shlex.split(command.replace(str(tmp_path / "ours"), str(tmp_path / "theirs")))
        running.append(flat.start(*words, stderr=subprocess.PIPE))
        assert running[0].stderr is not None
        while not running[0].stderr.readline().startswith("File: "):
            assert running[0].poll() is None

    try:
        result = captured(flat, tmp_path / "ours", "--link", "nginx-lb/eth0", first=start)
        time.sleep(0.5)
        running[0].send_signal(signal.SIGINT)
        running[0].wait(timeout=10)
    finally:
        for process in running:
            process.kill()
            process.wait()
    (ours,) = (Path(name) for name in result["links"][0]["files"])
    (other,) = (tmp_path / "theirs").iterdir()
    matching = "tcp.port == 80"
    assert (
        craft.tshark_matching(ours, matching) == craft.tshark_matching(other, matching) > REQUESTS
    )


def test_files_are_private_bounded_and_the_newest(flat: Sandbox, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    result = captured(
        flat, out, "--link", "nginx-lb", "--snap", "0", "--size", "1", "--rotate", "2", requests=1
    )
    (only,) = result["links"][0]["files"]
    assert Path(only).name.startswith("nginx-lb.ve-nginx-lb.")
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(only).stat().st_mode) == 0o600
    again = flat.invoke("traffic.capture", "--link", "nginx-lb", "--out", str(out), check=False)
    assert again.returncode == 64
    assert "is not overwritten: it exists already" in again.stderr


def test_a_live_report_names_clients_and_servers(flat: Sandbox) -> None:
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
    output, _ = process.communicate(timeout=30)
    report = json.loads(output)
    pairs = {(pair["client"], pair["server"]) for pair in report["pairs"]}
    assert {("host", "nginx-lb"), ("nginx-lb", "api-gateway")} <= pairs
    (http,) = [http for http in report["http"] if http["client"] == "host"]
    assert (http["server"], http["status"], http["count"]) == ("nginx-lb", 200, 3)
    assert "undeclared" not in {pair["verdict"] for pair in report["pairs"]}


def test_a_journey_adds_up_and_shows_nat_and_the_rules_that_counted(
    flat: Sandbox, tmp_path: Path
) -> None:
    picture = tmp_path / "way.svg"
    output = flat.invoke("traffic.journey", "--svg", str(picture), "--json").stdout
    (journey,) = json.loads(output)["worlds"]
    assert (journey["world"], journey["shape"], journey["status"]) == ("net", "flat", 200)
    # Every moment from the client's begin to its end belongs to one step, and to no other.
    at = 0.0
    for step in journey["steps"]:
        assert step["at_us"] == pytest.approx(at, abs=0.01)
        assert step["took_us"] > 0
        at += step["took_us"]
    assert at == pytest.approx(journey["total_us"], abs=0.01)
    assert list(dict.fromkeys(step["stage"] for step in journey["steps"])) == [
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
    (rewrite,) = journey["rewrites"]
    assert rewrite["before_ends"].endswith("→ 127.0.0.1:8080")
    assert rewrite["after_ends"].startswith("10.0.0.1:")
    assert rewrite["after_ends"].endswith("→ 10.0.0.10:80")
    counted = {
        rule["rule"].rpartition(" -j ")[2].split()[0]: rule["packets"]
        for rule in journey["rules"]
        if rule["table"] == "nat"
    }
    assert counted["DNAT"] == counted["MASQUERADE"] == 1
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_bad_choices_are_one_line(flat: Sandbox, tmp_path: Path) -> None:
    for words, message in (
        (("capture", "--link", "nix", "--out", str(tmp_path / "x")), "--link nix: is not there"),
        (("journey", "--path", "x y"), "--path: cannot be 'x y'"),
    ):
        done = flat.invoke(f"traffic.{words[0]}", *words[1:], check=False)
        assert (done.returncode, done.stdout) == (64, "")
        assert done.stderr.startswith(message)
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()
