"""Configurations follow from the plan: upstreams from its flows, memory from its limits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from jinja2 import UndefinedError

from tests.support.core_cases import declared, edited_plan, planned
from twinstack.model.plan import Plan
from twinstack.overlay.host_plans import host_plan, spread_over_hosts
from twinstack.software.configs import configuration_of, nginx_conf, redis_conf, render


def test_the_load_balancer_has_the_replicas_that_it_may_reach_as_upstreams():
    plan = planned()
    text = nginx_conf(plan, plan.replica("nginx-lb"))
    assert f"server api-gateway:{plan.replica('api-gateway').port}" in text
    assert "product-service" not in text


def test_each_of_several_gateways_is_asked_again_when_all_have_failed():
    plan = edited_plan(lambda d: d["services"]["api-gateway"].update(replicas=2))
    text = nginx_conf(plan, plan.replica("nginx-lb"))
    servers = re.findall(r"server (api-gateway\S*):3000 (.*);", text)
    first, last = "max_fails=1 fail_timeout=10s", "max_fails=0 backup"
    names = ("api-gateway", "api-gateway-2")
    assert servers == [(name, how) for how in (first, last) for name in names]
    alone = nginx_conf(planned(), planned().replica("nginx-lb"))
    assert "max_fails" not in alone


def test_with_a_resolver_it_looks_the_name_up():
    plan = planned()
    assert "127.0.0.11" in nginx_conf(plan, plan.replica("nginx-lb"), "127.0.0.11")


def test_the_requests_of_one_client_address_are_limited_as_its_connections_are():
    plan = edited_plan(lambda d: d["edge"].update(requests_per_second=70, burst=90))
    text = nginx_conf(plan, plan.replica("nginx-lb"))
    assert "rate=70r/s;" in text
    assert "limit_req zone=clients burst=90 nodelay;" in text
    assert "one client address has 70 requests a second" in text


def test_without_the_edges_limit_and_where_clients_are_hidden_none_is_limited():
    bare = edited_plan(lambda d: d.pop("edge"))
    counted = edited_plan(lambda d: d["edge"].update(requests_per_second=70))
    for plan, resolver in ((planned(), None), (bare, None), (counted, "127.0.0.11")):
        assert "429 1;" not in nginx_conf(plan, plan.replica("nginx-lb"), resolver)
        assert "limit_req" not in nginx_conf(plan, plan.replica("nginx-lb"), resolver)


def test_this_hosts_own_addresses_in_both_worlds_and_an_overlays_hosts_are_not_counted():
    plan = counted(planned("tiered"))
    gateways = [f"{start}.1 0;" for start in ("172.20.0", "172.21.0", "172.30.1", "172.30.3")]
    assert set(gateways) <= uncounted(nginx_conf(plan, plan.replica("nginx-lb")))
    spread = spread_over_hosts(planned(), declared().hosts, 2)
    plan = counted(host_plan(planned(), spread, spread.hosts[0]))
    expected = {"127.0.0.1 0;", "10.0.0.1 0;", "172.30.0.1 0;", "10.88.0.0/24 0;"}
    assert uncounted(nginx_conf(plan, plan.replica("nginx-lb"))) == expected


def counted(plan: Plan) -> Plan:
    assert plan.rate_limit is not None
    limit = plan.rate_limit.model_copy(update={"requests_per_s": 70})
    return replace(plan, rate_limit=limit)


def uncounted(text: str) -> set[str]:
    (block,) = re.findall(r"geo \$is_counted \{\n\s+default 1;\n(.*?)\}", text, re.DOTALL)
    return {line.strip() for line in block.splitlines() if line.strip()}


def test_redis_leaves_half_of_its_limit_for_buffers():
    replica = planned().replica("redis-cache")
    assert replica.limits is not None
    assert f"maxmemory {replica.limits.memory_bytes // 2}\n" in redis_conf(replica)
    assert f"maxmemory {64 * 1024**2}\n" in redis_conf(replace(replica, limits=None))


def test_python_services_have_no_configuration_file():
    plan = planned()
    assert configuration_of(plan, plan.replica("order-service")) == {}
    assert len(configuration_of(plan, plan.replica("redis-cache"))) == 1


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        render("redis.conf.j2")
