"""In CI a skipped test is a failed one, whichever way it skips."""

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
