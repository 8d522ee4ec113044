from __future__ import annotations

from dataclasses import replace

from tests.support.core_cases import planned
from twinstack.model.topology import HostsSpec
from twinstack.overlay.host_plans import spread_over_hosts
from twinstack.overlay.hosts import HostAction, HostWatch, merged_preview, merged_states
from twinstack.reconcile import UNWATCHED, Change, Preview
from twinstack.world import ServiceState

PLAN = planned("flat")
SPREAD = spread_over_hosts(PLAN, HostsSpec(), 3)


def test_states_are_in_the_plans_order_and_name_their_host():
    here = ServiceState("nginx-lb", "nginx-lb", "netns nginx-lb", "10.0.0.10", 80, "healthy")
    gateway = replace(here, name="api-gateway", service="api-gateway", where="netns api-gateway")
    states = merged_states(
        PLAN, SPREAD, {"host-2": [gateway], "host-1": [here]}, "its host is down"
    )
    assert [state.name for state in states] == [replica.name for replica in PLAN.replicas]
    assert states[0].where == "host-1: netns nginx-lb"
    absent = next(state for state in states if state.name == "redis-cache")
    assert (absent.state, absent.detail) == ("absent", "its host is down")
    assert absent.where == f"{SPREAD.where['redis-cache']}: none"


def test_a_merged_preview_names_the_host_of_each_change():
    change = Change(HostAction("bridge br-app", ("ip link add br-app type bridge",)), "is absent")
    unbuilt = ("software is to be built",)
    merged = merged_preview({"host-1": Preview(9, (change,)), "host-2": Preview(5, (), unbuilt)})
    assert merged.total == 14
    assert [found.step.name for found in merged.changes] == ["host-1: bridge br-app"]
    assert merged.changes[0].step.commands == change.step.commands
    assert merged.unbuilt == ("host-2: software is to be built",)


def test_a_watch_sees_the_host_of_each_step():
    seen: list[str] = []

    class Recorder:
        def before(self, step: str) -> None:
            seen.append(step)

        during = after = before

    watch = HostWatch(Recorder(), "host-1")
    watch.before("bridge br-app")
    watch.during("bridge br-app")
    watch.after("bridge br-app")
    assert seen == ["host-1: bridge br-app"] * 3
    HostWatch(UNWATCHED, "host-1").before("bridge br-app")
