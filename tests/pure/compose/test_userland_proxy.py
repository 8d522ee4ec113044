"""A userland proxy is known by its command."""

from __future__ import annotations

from pathlib import Path

from twinstack.compose import userland_proxy


def test_userland_proxy_is_known_by_its_port(tmp_path: Path) -> None:
    for pid, command in (("7", "/usr/bin/docker-proxy -proto tcp -host-port 8088"), ("8", "ab")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    (tmp_path / "9").mkdir()  # it has just ended
    assert list(userland_proxy.pids(8088, tmp_path)) == [7]
    assert not any(userland_proxy.pids(808, tmp_path))
