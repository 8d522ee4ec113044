"""Denied packets are counted by the DROP rule of a world's chain alone."""

from __future__ import annotations

from twinstack.policy.drop_counts import parse

SAVED = """\
*filter
:INPUT ACCEPT [0:0]
[9:540] -A INPUT -j DROP
[7:420] -A TS-main-DENY -m comment --comment "twinstack:main logged" -j NFLOG --nflog-group 7311
[12:720] -A TS-main-DENY -m comment --comment "twinstack:main denied" -j DROP
[3:180] -A TS-main-D-DENY -m comment --comment "twinstack:main denied" -j DROP
[5:300] -A TS-other-DENY -m comment --comment "twinstack:other denied" -j DROP
COMMIT
"""


def test_each_world_has_its_own_count_and_one_without_a_policy_none() -> None:
    assert parse(SAVED, "main", ("net", "docker")) == {"net": 12, "docker": 3}
    assert parse(SAVED, "main", ("net",)) == {"net": 12}
    assert parse(SAVED, "other", ("net", "docker")) == {"net": 5}
    assert parse("", "main", ("net", "docker")) == {}
