"""Up and down, again and again: the host is as it was, and no foreign object was touched.

`--full`: two hundred times the network, twenty times the whole namespace world; the Docker
world's cycles are in test_docker_residue.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.bystanders import bystanders
from tests.support.drive import driver
from tests.support.sandbox import differences, sandbox, snapshot
from twinstack.model.names import link_group

pytestmark = [pytest.mark.kernel, pytest.mark.e2e, pytest.mark.timeout(0)]


@pytest.mark.parametrize("what", ["network", "stack"])
def test_nothing_is_left_however_often_a_world_comes_and_goes(
    what: str, full: bool, tell: Callable[[str], None], software: None
):
    bare = what == "network"
    cycles = {True: 200, False: 20}[bare] if full else {True: 4, False: 1}[bare]
    with (
        sandbox(f"r{what[0]}") as host,
        bystanders(host, group=link_group(host.instance)) as others,
        driver(host, bare=bare) as drive,
    ):
        drive.order("up")
        drive.order("down")  # what is made once and kept (data, logs) is there from now on
        before = snapshot(host)
        for cycle in range(cycles):
            shape = ("flat", "tiered")[cycle % 2]
            drive.order("up", words={"shape": shape})
            drive.order("down")
            assert differences(before, snapshot(host)) == [], f"cycle {cycle + 1}, {shape}"
        assert others.count >= 30
        others.assert_untouched()
        drive.order("clean")
    tell(f"net {what}: {cycles} cycles, nothing left; {others.count} bystanders untouched")


def test_clean_leaves_the_host_as_it_was_before_the_first_up(software: None):
    with sandbox("rc") as host, driver(host, bare=True) as drive:
        before = snapshot(host)
        drive.order("up")
        drive.order("clean")
        assert differences(before, snapshot(host)) == []
