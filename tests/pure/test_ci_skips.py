"""CI: a skipped test is a failed one, however it skips; each lane runs in one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

CONFTEST = ROOT / "tests" / "conftest.py"
SKIPPING = {
    "in its body": "import pytest\ndef test_one():\n    pytest.skip('no engine')\n",
    "by its mark": "import pytest\n@pytest.mark.skip(reason='no engine')\ndef test_one(): ...\n",
    "as a module": "import pytest\npytest.skip('no engine', allow_module_level=True)\n",
}
EXPECTED_TO_FAIL = "import pytest\n@pytest.mark.xfail\ndef test_one():\n    assert False\n"


def closing_line(folder: Path, text: str, ci: str) -> tuple[int, str]:
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_one.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder)],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", SKIPPING.values(), ids=SKIPPING.keys())
def test_a_skipped_test_fails_in_ci(tmp_path, text):
    code, said = closing_line(tmp_path, text, "true")
    assert code != 0
    assert "CI=true allows no skipped test" in said
    assert "no engine" in said


@pytest.mark.parametrize("text", SKIPPING.values(), ids=SKIPPING.keys())
def test_a_skipped_test_is_skipped_elsewhere(tmp_path, text):
    _, said = closing_line(tmp_path, text, "")
    assert "1 skipped" in said


def test_a_test_expected_to_fail_is_no_skipped_one(tmp_path):
    code, said = closing_line(tmp_path, EXPECTED_TO_FAIL, "true")
    assert code == 0
    assert "1 xfailed" in said


def test_dockers_tests_run_in_one_process_and_the_last_process_begins_at_the_end(tmp_path):
    """They share an engine, also with checks; what comes last brings up no world."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    ran = tmp_path / "ran"
    for file in (
        *("checks/test_docker_a", "checks/test_f", "checks/test_g"),
        *("docker/test_d", "pure/test_e"),
    ):
        path = tmp_path / "tests" / f"{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "import os, pytest\n"
            "@pytest.mark.parametrize('number', range(6))\n"
            "def test_it(number):\n"
            f"    with open({str(ran)!r}, 'a') as file:\n"
            f"        print(os.environ['PYTEST_XDIST_WORKER'], {path.stem!r}, file=file)\n"
        )
    words = ["-n", "3", "--no-loadscope-reorder", "--import-mode=importlib", "--rootdir", "."]
    subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    pairs = [line.split() for line in ran.read_text().splitlines()]
    assert len(pairs) == 30
    assert len({worker for worker, name in pairs if name in {"test_docker_a", "test_d"}}) == 1
    begun = dict(reversed(pairs))
    assert set(begun.values()) == {"test_docker_a", "test_f", "test_e"}
