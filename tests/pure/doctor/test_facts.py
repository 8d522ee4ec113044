"""What is read of a host."""

from __future__ import annotations

from twinstack.doctor.facts import published_by

RULES = """-P PREROUTING ACCEPT
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 9000 -j DNAT --to-destination 172.17.0.2:80
-A TS-main-PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -m comment \
--comment "twinstack:main" -j DNAT --to-destination 10.0.0.10:80
-A TS-main-POSTROUTING -s 127.0.0.0/8 -d 10.0.0.10/32 -p tcp -m tcp --dport 80 -m comment \
--comment "twinstack:main localhost" -j MASQUERADE
""".replace("\\\n", "")


def test_a_port_that_a_rule_of_ours_translates_is_ours() -> None:
    assert published_by(RULES) == {8080}
