"""What of a replica's files is compared: not the name that an engine gave its container."""

from __future__ import annotations

from twinstack.drill.processes import lasting


def test_a_container_that_was_made_again_has_the_same_hosts() -> None:
    hosts = "127.0.0.1\tlocalhost\n172.30.0.60\tpostgres-db\n172.30.0.40\t{}\n"
    before, after = (hosts.format(own).encode() for own in ("99cd3d202466", "d23a6f6a3e69"))
    assert lasting(before) == lasting(after)
    assert lasting(before) != lasting(before.replace(b".60", b".61"))
