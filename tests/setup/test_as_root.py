"""scripts/as-root on another user's clone: it leaves no file of root's there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import ROOT

OWNER = 4711
pytestmark = pytest.mark.kernel


@pytest.fixture
def clone() -> Iterator[Path]:
    """Make a clone that its owner can reach; pytest's own folders are for root alone."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        place.chmod(0o755)
        (place / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/as-root", place / "scripts")
        os.chown(place, OWNER, OWNER)
        yield place


def as_root(clone: Path, *words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(clone / "scripts/as-root"), *words],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def owners(clone: Path) -> dict[str, int]:
    return {str(path.relative_to(clone)): path.lstat().st_uid for path in clone.rglob("*")}


LEAVE = "mkdir -p wheelhouse/a bench/results .pytest_cache; ln -s /etc/passwd wheelhouse/a/link"


def test_what_a_run_leaves_belongs_to_the_clones_owner(clone):
    password_file = os.stat("/etc/passwd").st_uid
    assert as_root(clone, "sh", "-c", LEAVE).returncode == 0
    owner = owners(clone)
    changed = ("wheelhouse", "wheelhouse/a", "wheelhouse/a/link", "bench/results", ".pytest_cache")
    assert {owner[name] for name in changed} == {OWNER}
    assert owner["scripts"] == 0  # exactly those: nothing else changes hands
    assert os.stat("/etc/passwd").st_uid == password_file


def test_a_failing_run_is_tidied_up_too_and_its_code_is_kept(clone):
    assert as_root(clone, "sh", "-c", f"{LEAVE}; exit 7").returncode == 7
    assert owners(clone)["wheelhouse/a"] == OWNER


def test_roots_own_clone_is_left_alone(clone):
    os.chown(clone, 0, 0)
    as_root(clone, "sh", "-c", f"{LEAVE}; chown {OWNER} wheelhouse")
    assert owners(clone)["wheelhouse"] == OWNER


def test_standard_input_reaches_the_command(clone):
    assert as_root(clone, "cat", input="a word").stdout == "a word"


def test_no_bytecode_is_written_beside_the_modules(clone):
    output = as_root(clone, "sh", "-c", "echo $PYTHONDONTWRITEBYTECODE").stdout
    assert output == "1\n"


@pytest.mark.parametrize(
    ("number", "whole_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)]
)
def test_a_signal_ends_the_command_and_the_folders_still_change_hands(clone, number, whole_group):
    script = f"{LEAVE}; touch ready; exec sleep 60"
    started = subprocess.Popen(
        [str(clone / "scripts/as-root"), "sh", "-c", script], cwd=clone, start_new_session=True
    )
    while not (clone / "ready").exists():
        time.sleep(0.01)
    if whole_group:  # as a terminal does
        os.killpg(started.pid, number)
    else:
        started.send_signal(number)
    assert started.wait(timeout=10) == 128 + number
    assert owners(clone)["wheelhouse/a"] == OWNER


def test_a_user_goes_through_sudo_with_our_words_only(clone):
    sudo = clone / "sudo"
    sudo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    sudo.chmod(0o755)
    done = as_root(
        clone,
        "pytest",
        "-k",
        "two words",
        user=OWNER,
        env={"PATH": f"{clone}:/usr/bin:/bin", "TWINSTACK_INSTANCE": "other", "SECRET": "x"},
    )
    keep, *rest = done.stdout.splitlines()
    assert "TWINSTACK_INSTANCE" in keep
    assert "SECRET" not in keep
    assert rest == ["--", str(clone / "scripts/as-root"), "pytest", "-k", "two words"]


def test_a_user_without_sudo_gets_an_error(clone):
    for name in ("dirname", "id"):
        (clone / name).symlink_to(f"/usr/bin/{name}")
    done = as_root(clone, "pytest", user=OWNER, env={"PATH": str(clone)})
    assert done.returncode == 1
    assert (
        done.stderr == "pytest: cannot run: it needs root and there is no sudo; run make as root\n"
    )
