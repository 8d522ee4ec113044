"""Configurations follow from the plan: upstreams from its flows, memory from its limits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from jinja2 import UndefinedError

from tests.support.core_cases import edited_plan, planned
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
