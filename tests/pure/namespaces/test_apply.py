"""Every kind of step has an effect, and a file is written whole or in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.core_cases import all_steps, planned
from twinstack.model.topology import HostsSpec
from twinstack.namespaces.apply import BATCHES, EFFECTS
from twinstack.namespaces.process_steps import InstanceFile
from twinstack.namespaces.steps import network_steps
from twinstack.overlay.host_plans import host_plan, spread_over_hosts, underlay_plan

NO_CONTEXT: Any = None


def kinds() -> set[type]:
    """Give the kinds of all steps: of one host, of a host of several, and of the underlay."""
    plan = planned()
    spread = spread_over_hosts(plan, HostsSpec(), 3)
    host = host_plan(plan, spread, spread.hosts[0])
    steps = (
        *all_steps(plan),
        *network_steps(host),
        *network_steps(underlay_plan(plan, spread)),
    )
    return set(map(type, steps))


def test_every_kind_of_step_has_one_effect():
    assert set(EFFECTS) | set(BATCHES) == kinds()
    assert not set(EFFECTS) & set(BATCHES)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_is_replaced_unless_it_is_bind_mounted(tmp_path: Path, in_place: bool):
    file = tmp_path / "hosts"
    file.write_text("old")
    inode = file.stat().st_ino
    step = InstanceFile(str(file), "new", 0o640, in_place)
    EFFECTS[InstanceFile](step, NO_CONTEXT)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert (file.stat().st_ino == inode) is in_place
    assert list(tmp_path.iterdir()) == [file]
