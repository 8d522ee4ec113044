"""What is brought to machines, and how: a shell on this one stands for ssh's far end."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from threading import Event
from typing import BinaryIO

import pytest

from front import overlay_ssh
from twinstack.errors import NotHealthy, SeveralFailed, StepFailed, TwinstackError
from twinstack.model.placement import Host
from twinstack.overlay import fanout, upload
from twinstack.overlay.bundles import Piece, carried, code
from twinstack.overlay.ssh import Machine
from twinstack.overlay.upload import Parcels, bring, survey
from twinstack.software.roots import Roots
from twinstack.software.wheels import Software

HERE = Machine(Host("here", IPv4Address("127.0.0.1")), ("sh", "-c"))


@pytest.fixture(name="agents")
def _agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(upload, "AGENTS", tmp_path / "there/agent")
    return tmp_path / "there/agent"


@pytest.fixture(name="software")
def _software(tmp_path: Path) -> tuple[Roots, Software]:
    for role in ("nginx", "python", "postgres", "redis"):
        (tmp_path / "roots/suite-1" / role / "var/lib/dpkg").mkdir(parents=True)
        (tmp_path / "roots/suite-1" / role / "var/lib/dpkg/status").write_text(f"Package: {role}")
    for part in ("site", "services", "supervisor"):
        (tmp_path / "software/abc" / part).mkdir(parents=True)
        (tmp_path / "software/abc" / part / "file").write_text(part)
    return Roots(tmp_path / "roots/suite-1", "suite"), Software(tmp_path / "software/abc")


def brought(
    pieces: tuple[Piece, ...], there: frozenset[str] = frozenset()
) -> tuple[int, list[str]]:
    told: list[str] = []
    with Parcels() as parcels:
        return bring(HERE, pieces, there, parcels, told.append), told


def test_a_machine_needs_the_trees_of_its_roles_and_no_packages_where_nobody_reads_them(
    software: tuple[Roots, Software],
):
    parts = {
        ("nginx", "redis"): ["nginx", "redis", "supervisor"],
        ("postgres",): ["postgres", "services", "supervisor"],
        ("python",): ["python", "services-site", "supervisor"],
    }
    for roles, kinds in parts.items():
        found = carried(roles, *software)  # type: ignore[arg-type]
        assert sorted(one.name.rpartition("-")[0] for one in found.all) == kinds


def test_a_tree_of_other_packages_has_another_name(software: tuple[Roots, Software]):
    roots, installed = software
    before = carried(["nginx"], roots, installed).trees["nginx"].name
    assert carried(["nginx"], roots, installed).trees["nginx"].name == before
    (roots.tree("nginx") / "var/lib/dpkg/status").write_text("Package: nginx\nVersion: 2")
    assert carried(["nginx"], roots, installed).trees["nginx"].name != before


def test_what_is_brought_is_whole_and_what_is_there_is_not_sent(
    software: tuple[Roots, Software], agents: Path
):
    pieces = carried(["python"], *software).all
    size, told = brought(pieces)
    assert size > 0
    assert "MB went there" in told[-1]
    assert {one.name for one in agents.iterdir()} == {one.name for one in pieces}
    there = next(one for one in agents.iterdir() if one.name.startswith("services-site"))
    assert (there / "site/file").read_text() == "site"
    assert brought(pieces, frozenset(one.name for one in agents.iterdir())) == (0, [])


def test_a_piece_that_breaks_off_on_the_way_leaves_nothing(
    software: tuple[Roots, Software], agents: Path
):
    whole = carried(["python"], *software).supervisor

    def half(into: BinaryIO) -> None:
        whole.pack(into)
        into.truncate(into.tell() // 2)

    with pytest.raises(StepFailed, match="host here: refused"):
        brought((Piece("half-1", "half", half),))
    assert list(agents.iterdir()) == []


def test_the_code_is_named_by_its_content(agents: Path):
    assert code().name == code.__wrapped__().name
    brought((code(),))
    assert (agents / code().name / "twinstack/overlay/agent.py").is_file()
    assert (agents / code().name / "templates/launch.sh.j2").is_file()


def test_the_code_brings_all_that_the_agent_imports(agents: Path):
    brought((code(),))
    script = "import sys; sys.path.insert(0, sys.argv[1]); import twinstack.overlay.agent"
    words = [sys.executable, "-I", "-S", "-c", script, str(agents / code().name)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_machine_that_lacks_programs_is_told_which_package_brings_them(tmp_path: Path):
    for name, script in (("id", "echo 0"), ("ls", ":")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    poor = replace(HERE, words=("env", f"PATH={tmp_path}", "/bin/sh", "-c"))
    with pytest.raises(StepFailed, match="host here: cannot be used: it has no ") as told:
        survey(poor)
    assert "nsenter" in told.value.cause
    assert "util-linux" in told.value.remedy
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    with pytest.raises(StepFailed, match="its user there is 1000; log in as root"):
        survey(poor)


def test_who_was_stopped_is_not_named_beside_who_failed():
    stopped = fanout.Stopped("host left", "was stopped")
    failed = StepFailed("host right", "cannot be reached")
    with pytest.raises(StepFailed, match="host right: cannot be reached"):
        fanout.raise_any([stopped, failed, None])
    ill = SeveralFailed("up", [NotHealthy("a", "is ill"), NotHealthy("b", "is ill")])
    with pytest.raises(SeveralFailed, match="2 steps failed"):
        fanout.raise_any([ill, None])
    fanout.raise_any([None])


def test_an_ill_service_does_not_stop_the_other_machines():
    def ill(_: Machine) -> None:
        raise NotHealthy("here: nginx-lb", "is starting after 1 s")

    def broken(_: Machine) -> None:
        raise TwinstackError("here: bridge br-app", "is not ours")

    for work, stops in ((ill, False), (broken, True)):
        stop = Event()
        assert fanout.each([HERE], work, stop)["here"].failure is not None
        assert stop.is_set() is stops


def test_options_of_ssh_with_an_open_quote_are_one_clear_line():
    assert overlay_ssh.options("-i 'a b'") == ("-i", "a b")
    with pytest.raises(TwinstackError, match="--ssh: cannot be read: No closing quotation"):
        overlay_ssh.options("-i 'a")
