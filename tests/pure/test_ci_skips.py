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


def test_each_lane_runs_in_one_process(tmp_path):
    """Docker's tests and the others that need root share bring-ups: no lane is split."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    for lane in ("docker", "e2e"):
        (tmp_path / "tests" / lane).mkdir(parents=True)
        (tmp_path / "tests" / lane / f"test_{lane}.py").write_text(
            "import os, pathlib, pytest, time\n"
            "@pytest.mark.parametrize('number', range(6))\n"
            "def test_it(number):\n"
            "    time.sleep(0.05)\n"
            f"    with open({str(tmp_path / lane)!r}, 'a') as file:\n"
            "        file.write(os.environ['PYTEST_XDIST_WORKER'] + ' ')\n"
        )
    subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--rootdir", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    workers = [set((tmp_path / lane).read_text().split()) for lane in ("docker", "e2e")]
    assert [len(lane) for lane in workers] == [1, 1]
    assert workers[0] != workers[1]
