"""traffic.report takes captures and folders, and refuses the impossible in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.context import Context

from front import traffic
from tests.support import craft
from tests.support.project import ROOT
from tests.support.traffic_cases import example


def report(file: Path, **options: object) -> int:
    """Run the task here, and give its exit code."""
    try:
        traffic.traffic_report(Context(), str(file), **options)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "invoke", "traffic.report", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_captures_of_the_same_second_have_folders_of_their_own(tmp_path: Path):
    name = str(tmp_path / "captures" / "net-20261129T090000Z")
    folders = [traffic.new_folder(name) for _ in range(3)]
    assert [folder.name.rpartition("Z")[2] for folder in folders] == ["", "-2", "-3"]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_json_is_one_document_with_the_same_counts(tmp_path: Path, capsys):
    file = example(tmp_path)
    assert report(file, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    pairs = document["pairs"]
    packets = sum(pair["packets_there"] + pair["packets_back"] for pair in pairs)
    assert document["places"][0]["packets"] == craft.tshark_counts(file)[0]
    assert packets == document["packets"]
    assert {pair["verdict"] for pair in pairs} == {"declared", "undeclared", ""}


def test_a_page_is_written_beside_the_text(tmp_path: Path, capsys):
    page = tmp_path / "page.html"
    assert report(example(tmp_path), html=str(page)) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert f"written: {page}" in capsys.readouterr().err


def test_a_link_is_of_a_world_and_not_of_a_capture(tmp_path: Path, capsys):
    assert report(example(tmp_path), link=["order-service"]) == 64
    assert capsys.readouterr().err.startswith("--link: cannot be given with files: ")


@pytest.mark.parametrize("html", ["/nowhere/at/all.html", "/tmp"])
def test_a_page_that_cannot_be_written_is_one_line(html: str, tmp_path: Path, capsys):
    assert report(example(tmp_path), html=html) == 64
    error = capsys.readouterr().err
    assert f"{html}: cannot be written: " in error
    assert len(error.splitlines()) == 1


def test_a_missing_file_is_one_line(tmp_path: Path, capsys):
    assert report(tmp_path / "none.pcap") == 64
    assert str(tmp_path / "none.pcap") in capsys.readouterr().err


def test_a_folder_stands_for_its_captures(tmp_path: Path, capsys):
    file = example(tmp_path)
    (tmp_path / "notes.txt").write_text("no capture")
    assert traffic.captures_in([tmp_path]) == [file]
    file.unlink()
    assert report(tmp_path) == 64
    assert "has no captures" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["FILE --json", "--json FILE", "--json -- FILE", "--json --file FILE"]
)
def test_a_capture_is_named_by_a_bare_word(words: str, tmp_path: Path):
    file = str(example(tmp_path))
    done = invoke(*words.replace("FILE", file).split())
    assert json.loads(done.stdout)["files"] == [file]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--help"], "Usage: "),
        (["--bogus"], "No idea what '--bogus' is!"),
        (["/nowhere/a.pcap"], "/nowhere/a.pcap: cannot be read: it does not exist; "),
        # without listening for ten seconds first
        (["--html", "/nowhere/a.html"], "/nowhere/a.html: cannot be written: /nowhere is not a"),
    ],
)
def test_a_flag_is_no_capture_and_a_wrong_name_is_refused_first(words: list[str], expected: str):
    done = invoke(*words)
    assert (done.stderr or done.stdout).startswith(expected)
    assert len(done.stderr.splitlines()) <= 1
    assert done.returncode == (64 if done.stderr else 0)
