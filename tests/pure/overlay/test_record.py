from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.core_cases import planned
from twinstack.errors import CannotTell
from twinstack.model.topology import HostsSpec
from twinstack.overlay import record
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.record import OverlayOptions
from twinstack.state import paths


@pytest.fixture(autouse=True)
def _directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
    monkeypatch.setattr(paths, "LIB", tmp_path / "lib")


def test_options_read_back_as_they_were_written():
    plan = planned("tiered")
    spread = spread_over_hosts(plan, HostsSpec(), 3, frozenset({"host-2"}))
    options = OverlayOptions.of(plan, spread, bare=True)
    record.write("t", options)
    assert record.read("t") == options
    assert (options.shape, options.hosts, options.lost) == ("tiered", 3, ("host-2",))


def test_machines_have_options_of_their_own():
    assert record.read("t", ssh=True) is None
    record.write("t", OverlayOptions("flat", 2), ssh=True)
    assert record.read("t", ssh=True) == OverlayOptions("flat", 2)
    assert record.read("t") is None


def test_options_that_are_broken_are_an_error_and_not_a_default(tmp_path: Path):
    record.write("t", OverlayOptions("flat", 2))
    (file,) = tmp_path.rglob("overlay.json")
    file.write_text("{}")
    with pytest.raises(CannotTell, match="cannot be understood"):
        record.read("t")
