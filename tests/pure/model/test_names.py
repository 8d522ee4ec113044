"""Names fit what the kernel, iptables and Docker take, and differing names stay apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstack.errors import TwinstackError
from twinstack.model import names

HOOKS = ("PREROUTING", "INPUT", "OUTPUT", "FORWARD", "POSTROUTING")
INSTANCES = st.from_regex(r"[a-z]([a-z0-9-]{0,13}[a-z0-9])?", fullmatch=True)
SERVICES = st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


@given(st.text(min_size=1, max_size=80), st.integers(min_value=8, max_value=40))
def test_a_shortened_name_never_exceeds_its_limit(name: str, limit: int):
    short = names.shortened(name, limit)
    assert len(short) <= limit
    assert short == names.shortened(name, limit)
    assert (short == name) or len(name) > limit


@given(st.dictionaries(SERVICES, st.integers(1, 12), min_size=2, max_size=30))
def test_shortened_names_that_differ_stay_apart(counts: dict[str, int]):
    links = names.host_links(counts)
    replicas = {
        names.replica_name(service, number)
        for service, count in counts.items()
        for number in range(1, count + 1)
    }
    assert links.keys() == replicas
    assert len(set(links.values())) == len(replicas)
    assert all(names.interface_problem(link) is None for link in links.values())


def test_a_thousand_replicas_have_a_thousand_links():
    links = set(names.host_links({"product-service": 1000}).values())
    assert len(links) == 1000
    assert all(len(link) <= names.INTERFACE_MAX for link in links)


def test_a_link_can_be_read_and_has_a_hash_only_where_two_would_be_alike():
    links = names.host_links({"nginx-lb": 1, "product-service": 3, "service-registry": 1})
    assert list(links.values()) == [
        "ve-nginx-lb",
        "ve-product",
        "ve-product-2",
        "ve-product-3",
        "ve-registry",
    ]
    alike = names.host_links({"product": 2, "product-service": 2, "service-product": 1})
    assert (alike["product"], alike["product-2"]) == ("ve-product", "ve-product-2")
    assert len(set(alike.values())) == 5
    assert names.host_links({"service": 1}) == {"service": "ve-service"}


def test_a_short_name_is_kept_as_it_is():
    assert names.host_link("nginx-lb") == "ve-nginx-lb"
    assert names.chain("main", "FORWARD") == "TS-main-FORWARD"
    assert names.docker_bridge("main", "app") == "dk-app"
    assert names.docker_bridge("docs", "frontend") == "dk-515-frontend"


@given(INSTANCES)
def test_chains_of_an_instance_fit_and_differ(instance: str):
    assert instance == names.check_instance(instance)
    chains = {names.chain(instance, hook) for hook in HOOKS}
    assert len(HOOKS) == len(chains)
    assert all(len(chain) <= names.CHAIN_MAX for chain in chains)


@given(INSTANCES, INSTANCES)
def test_chains_and_marks_of_two_instances_never_meet(one: str, other: str):
    if one == other:
        return
    assert names.mark(one) != names.mark(other)
    assert not (
        {names.chain(one, hook) for hook in HOOKS} & {names.chain(other, hook) for hook in HOOKS}
    )


@given(INSTANCES, st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), max_size=30))
def test_a_docker_bridge_has_a_name_that_the_kernel_takes(instance: str, segment: str):
    assert names.interface_problem(names.docker_bridge(instance, segment)) is None


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "-a", "a-", "a" * 16, "a_b", "a.b", "a/b", "..", "a\n", "ä", "a b"]
)
def test_an_instance_that_cannot_stand_in_a_mark_is_refused(name: str):
    with pytest.raises(TwinstackError, match="TWINSTACK_INSTANCE") as caught:
        names.check_instance(name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["roots", "software", "docker", "agent"])
def test_an_instance_never_shares_a_directory_with_what_is_shared(name: str):
    with pytest.raises(TwinstackError):
        names.check_instance(name)


def test_docker_bridges_of_two_instances_never_meet():
    assert names.docker_bridge("a", "b-c") != names.docker_bridge("a-b", "c")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a" * 16, "a b", "a/b", "a:b", "a%d", "a\tb", "a\nb"]
)
def test_a_name_that_the_kernel_refuses_has_a_problem(name: str):
    assert names.interface_problem(name)


@pytest.mark.parametrize("name", ["a", "eth0", "br-frontend", "a" * 15])
def test_a_name_that_the_kernel_takes_has_none(name: str):
    assert names.interface_problem(name) is None


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "a b", "1a", "a" * 41, "a\n"])
def test_a_service_that_cannot_name_a_container_has_a_problem(name: str):
    assert names.service_problem(name)


def test_the_first_replica_bears_the_services_own_name():
    assert names.replica_name("product-service", 1) == "product-service"
    assert names.replica_name("product-service", 2) == "product-service-2"


@pytest.mark.parametrize("name", ["br.app", "br-app+", 'br"app', "all", "lo", "ve-web", "vx-app"])
def test_a_bridge_that_breaks_a_sysctl_a_rule_or_our_names_has_a_problem(name: str):
    assert names.bridge_problem(name)
    assert names.bridge_problem("br-app") is None


@pytest.mark.parametrize("name", ["", "Left", "a" * 21, "a_b", "-a"])
def test_a_host_that_cannot_name_an_instance_has_a_problem(name: str):
    assert names.host_problem(name)
    assert names.host_problem("host-1") is None


@given(INSTANCES, INSTANCES)
def test_a_pattern_matches_the_chains_of_its_instance_and_world_alone(instance: str, other: str):
    for world in ("net", "docker"):
        pattern = names.chain_pattern(instance, world)
        assert pattern.match(names.chain(instance, "INPUT", world))
        another = "docker" if world == "net" else "net"
        assert not pattern.match(names.chain(instance, "INPUT", another))
        assert instance == other or not pattern.match(names.chain(other, "INPUT", world))
