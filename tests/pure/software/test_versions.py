"""A version is named by what it holds, kept whole, and refused where it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import ROOT
from twinstack.errors import TwinstackError
from twinstack.software import versions

MODULE = "services.order_service.app:app"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a small services/ directory."""
    made = tmp_path / "other" / "services"
    (made / "order_service").mkdir(parents=True)
    (made / "order_service/app.py").write_text("app = 1\n")
    (made / "requirements.txt").write_bytes((ROOT / "services/requirements.txt").read_bytes())
    return made


def test_a_version_is_named_by_paths_and_contents_alone(source: Path) -> None:
    name = versions.name_of(source)
    (source / "README.md").write_text("a note\n")
    (source / "__pycache__").mkdir()
    (source / "__pycache__/x.pyc").write_text("compiled")
    assert versions.name_of(source) == name
    (source / "order_service/app.py").rename(source / "order_service/apps.py")
    assert versions.name_of(source) != name


def test_a_kept_version_is_whole_readable_and_compiled(source: Path, tmp_path: Path) -> None:
    name = versions.keep(source, tmp_path / "kept")
    assert name == versions.name_of(source) == versions.keep(source, tmp_path / "kept")
    versions.check_kept(tmp_path / "kept", [name])
    kept = tmp_path / "kept" / name
    assert kept.stat().st_mode & 0o777 == 0o755
    assert (kept / "services/order_service/app.py").stat().st_mode & 0o777 == 0o644
    assert list(kept.rglob("app.*.pyc"))
    assert [each.name for each in (tmp_path / "kept").iterdir()] == [name]


def test_a_version_that_is_gone_or_was_changed_is_an_error(source: Path, tmp_path: Path) -> None:
    name = versions.keep(source, tmp_path / "kept")
    (tmp_path / "kept" / name / "services/order_service/app.py").write_text("app = 2\n")
    for names in ([name], ["0" * 12]):
        with pytest.raises(TwinstackError, match="is gone, or was changed"):
            versions.check_kept(tmp_path / "kept", names)
    assert versions.keep(source, tmp_path / "kept") == name
    versions.check_kept(tmp_path / "kept", [name])


def test_only_a_services_directory_with_our_packages_is_a_version(source: Path) -> None:
    versions.check_source(source, ROOT, MODULE)
    versions.check_source(ROOT / "services", ROOT, MODULE)
    with pytest.raises(TwinstackError, match="give the services/ directory"):
        versions.check_source(source.parent, ROOT, MODULE)
    with pytest.raises(TwinstackError, match=r"it lacks app\.py"):
        versions.check_source(source, ROOT, "services.product_service.app:app")
    (source / "requirements.txt").write_text("flask==1\n")
    with pytest.raises(TwinstackError, match="a release brings no package"):
        versions.check_source(source, ROOT, MODULE)
