from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.support.machines import HERE, made_software
from twinstack.errors import StepFailed
from twinstack.overlay import upload as uploading
from twinstack.overlay.bundles import Bundle, code_bundle, software_bundles
from twinstack.overlay.upload import packing, survey, upload


@pytest.fixture(name="there")
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory where the machine keeps its bundles."""
    monkeypatch.setattr(uploading, "BUNDLES", tmp_path / "there/agent")
    return tmp_path / "there/agent"


@pytest.fixture(name="software")
def _software(tmp_path: Path) -> dict[str, Bundle]:
    return software_bundles(["python"], *made_software(tmp_path))


def uploaded(bundles: Collection[Bundle], present: frozenset[str] = frozenset()) -> list[str]:
    progress: list[str] = []
    with packing() as open_packed:
        upload(HERE, bundles, present, open_packed, progress.append)
    return progress


def test_an_upload_is_whole_and_what_is_there_is_not_sent(software: dict[str, Bundle], there: Path):
    assert uploaded(software.values())[-1].startswith("here: uploaded")
    present = frozenset(bundle.name for bundle in there.iterdir())
    assert present == {bundle.name for bundle in software.values()}
    packages = next(bundle for bundle in there.iterdir() if bundle.name.startswith("services-site"))
    assert (packages / "site/file").read_text() == "site"
    assert uploaded(software.values(), present) == []


def test_an_upload_that_breaks_off_leaves_nothing(software: dict[str, Bundle], there: Path):
    def half(into: BinaryIO) -> None:
        software["supervisor"].pack(into)
        into.truncate(into.tell() // 2)

    with pytest.raises(StepFailed, match="host here: refused"):
        uploaded([Bundle("half-1", "half", half)])
    assert list(there.iterdir()) == []


def test_the_code_contains_all_that_the_agent_imports(there: Path):
    uploaded([code_bundle()])
    code = there / code_bundle().name
    assert (code / "templates/launch.sh.j2").is_file()
    script = "import sys; sys.path.insert(0, sys.argv[1]); import twinstack.overlay.agent"
    command = [sys.executable, "-I", "-S", "-c", script, str(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_machine_that_lacks_programs_is_refused_with_the_packages_to_install(tmp_path: Path):
    for name, script in (("id", "echo 0"), ("ls", ":")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    poor = replace(HERE, prefix=("env", f"PATH={tmp_path}", "/bin/sh", "-c"))
    with pytest.raises(StepFailed, match="host here: cannot be used: it has no ") as refusal:
        survey(poor)
    assert "nsenter" in refusal.value.cause
    assert "util-linux" in refusal.value.remedy
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    with pytest.raises(StepFailed, match="its user there is 1000; log in as root"):
        survey(poor)
