"""What is read of a host."""

from __future__ import annotations

import pytest

from twinstack.doctor.facts import Holder, listener, published_by, published_in

RULES = """-P PREROUTING ACCEPT
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 9000 -j DNAT --to-destination 172.17.0.2:80
-A TS-main-PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -m comment \
--comment "twinstack:main" -j DNAT --to-destination 10.0.0.10:80
-A TS-main-POSTROUTING -s 127.0.0.0/8 -d 10.0.0.10/32 -p tcp -m tcp --dport 80 -m comment \
--comment "twinstack:main localhost" -j MASQUERADE
""".replace("\\\n", "")


def test_a_port_that_a_rule_of_ours_translates_is_ours() -> None:
    assert published_by(RULES) == {8080: Holder("main", "net")}


def test_a_port_that_a_container_of_ours_publishes_is_ours() -> None:
    containers = "lab 127.0.0.1:3007->3000/tcp, 0.0.0.0:8095->80/tcp\nlab 5432/tcp\n"
    assert published_in(containers) == dict.fromkeys((3007, 8095), Holder("lab", "docker"))


@pytest.mark.parametrize(
    ("users", "name"),
    [
        ('users:(("nginx",pid=812,fd=6),("nginx",pid=811,fd=6))', "nginx (pid 812)"),
        ("", "a process that cannot be read"),
    ],
)
def test_a_stranger_is_named_by_its_process_where_it_can_be_read(users: str, name: str) -> None:
    assert listener(users) == name
