"""The script that net.plan prints reaches, with plain commands, the state that net.up reaches."""

from __future__ import annotations

import pytest

from tests.support.kernel_state import kernel_state, unlike
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]


@pytest.mark.parametrize("words", [("flat", "policy"), ("tiered", "policy"), ("flat", "no-policy")])
def test_the_script_and_up_end_in_the_same_state(words: tuple[str, str], host: Sandbox):
    shape, policy = words
    empty = kernel_state(host)
    options = ("--shape", shape, f"--{policy}") if policy == "no-policy" else ("--shape", shape)
    text = host.invoke("net.plan", *options, "--script").stdout
    script = host.run("sh", "-c", f"cat > /run/by-hand.sh <<'END'\n{text}\nEND\nsh /run/by-hand.sh")
    by_hand = kernel_state(host)
    assert by_hand != empty, script.stdout
    host.invoke("net.down")  # it carries our marks, so it is ours to remove
    assert "br-" not in host.run("ip", "-br", "link").stdout
    host.run("sh", "-c", "rm /run/by-hand.sh; sysctl -qw net.ipv4.ip_forward=0")
    host.invoke("net.up", *options, "--no-services")
    assert unlike(by_hand, kernel_state(host)) == []
    host.invoke("net.down")
