"""The topology is drawn as it is: each change by hand is shown, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.support.looker import looker
from tests.support.sandbox import Sandbox
from twinstack.model import names

pytestmark = pytest.mark.kernel
Draw = Callable[[], dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def network(host: Sandbox) -> None:
    """Bring the tiered network of the namespace world up, and nothing that runs in it."""
    done = host.invoke("topology", check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "no world is up" in done.stderr
    host.invoke("net.up", "--no-services", "--shape", "tiered")


@pytest.fixture(scope="module")
def draw(host: Sandbox) -> Iterator[Draw]:
    """Give a function that draws that world in every format."""
    with looker(host) as made:
        yield made.topology


def wrong(drawn: dict[str, Any]) -> dict[str, str]:
    """List what is not as declared, and how it differs."""
    return {
        f"{item['kind']} {item['name']}": "; ".join(item["differences"]) or item["state"]
        for item in drawn["json"]["worlds"][0]["items"]
        if item["state"] != "as declared"
    }


def test_a_new_world_is_as_declared(host: Sandbox, draw: Draw):
    document = json.loads(host.invoke("topology", "--json").stdout)
    assert (document["ok"], document["worlds"][0]["shape"]) == (True, "tiered")
    kinds = [item["kind"] for item in document["worlds"][0]["items"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "bridge": 3,
        "replica": 9,
        "link": 9,
        "published port": 1,
        "nat": 3,
        "flow": 29,
    }
    text = draw()["text"]
    assert "net (tiered): 3 bridges, 9 namespaces, 29 open flows; as declared" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_every_change_by_hand_is_shown_and_repaired(host: Sandbox, draw: Draw):
    chain = names.chain(host.instance, "TO-redis-cache")
    script = f"""
        ip link delete ve-nginx-lb
        nsenter --net=/run/netns/redis-cache ip address add 172.22.0.99/24 dev eth0
        nsenter --net=/run/netns/postgres-db ip route delete default
        ip link set br-backend mtu 1400
        iptables -D {chain} -s 172.21.0.31/32 -m comment --comment \\
            "twinstack:{host.instance} product-service-2 to redis-cache" -j ACCEPT
        iptables -t nat -F {names.chain(host.instance, "OUTPUT")}
        ip link delete ve-registry
        ip netns delete service-registry
    """
    host.run("sh", "-ec", script)
    clients = "for is other machines, declared is other machines, this host"
    assert wrong(draw()) == {
        "bridge br-backend": "mtu is 1400, declared is 1500",
        "replica service-registry": "missing",
        "link nginx-lb@frontend": "missing",
        "link service-registry@backend": "missing",
        "link redis-cache@database": (
            "address is 172.22.0.50/24, 172.22.0.99/24, declared is 172.22.0.50/24"
        ),
        "link postgres-db@database": "gateway is none, declared is 172.22.0.1",
        "published port 0.0.0.0:8080": clients,
        "flow product-service → redis-cache tcp 6379": "ways is 2 of 3, declared is all",
    }
    host.invoke("net.up", "--no-services", "--shape", "tiered")
    assert wrong(draw()) == {}


def test_what_others_add_is_undeclared_whatever_its_name(host: Sandbox, draw: Draw):
    name = "<b>&\"'$(x)"
    rule = "FORWARD -s 172.20.0.10 -d 172.22.0.60 -p tcp --dport 5432 -j ACCEPT"
    port = "PREROUTING -p tcp --dport 8081 -j DNAT --to-destination 172.20.0.20:3000"
    host.run("ip", "link", "add", name, "type", "veth", "peer", "name", "lab1")
    host.run("ip", "link", "set", name, "master", "br-database")
    host.run("iptables", "-I", *rule.split())
    host.run("iptables", "-t", "nat", "-A", *port.split())
    try:
        drawn = draw()
        assert wrong(drawn) == {
            f"link {name}": "undeclared",
            "published port 0.0.0.0:8081": "undeclared",
            "flow nginx-lb → postgres-db tcp 5432": "undeclared",
        }
        assert f"+     {name}: undeclared" in drawn["text"]
        assert name in [node.text for node in ElementTree.fromstring(drawn["svg"]).iter()]
        assert '["#lt;b#gt;#amp;#quot;\'$(x)<br>undeclared"]' in drawn["mermaid"]
        assert host.invoke("topology", "--format", "svg", check=False).returncode == 1
    finally:
        host.run("ip", "link", "delete", name)
        host.run("iptables", "-D", *rule.split())
        host.run("iptables", "-t", "nat", "-D", *port.split())
    assert wrong(draw()) == {}
