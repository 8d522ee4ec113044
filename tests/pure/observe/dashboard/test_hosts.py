"""Hosts are read as browsers write them; the loopback is always served, a foreign name never."""

from __future__ import annotations

import pytest

from twinstack.errors import WrongUse
from twinstack.observe.dashboard.hosts import ServedHost, allowed, is_served


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("lab.example", ServedHost("lab.example")),
        ("LAB.example:8443", ServedHost("lab.example", 8443)),
        ("10.1.2.3:80", ServedHost("10.1.2.3", 80)),
        ("[FE80:0::1]:7700", ServedHost("[fe80::1]", 7700)),
    ],
)
def test_an_allowed_host_is_read(text: str, host: ServedHost):
    assert allowed([text]) == (host,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.example", "http://lab.example", "lab.example/", "lab.example:", "a b"),
        *("lab.example:0", "lab.example:65536", "lab.example:x", "::1", "[::g]", "-a", "a..b"),
        *("läb.example", "a@b", "a\nb", "a" * 64, "a." * 200 + "a"),
    ],
)
def test_what_is_no_host_is_refused(text: str):
    with pytest.raises(WrongUse, match=r"^--allow-host: cannot be"):
        allowed(["lab.example", text])


def test_the_loopback_is_served_at_any_port():
    for header in ("localhost", "LocalHost:9000", "127.0.0.1:1", "[::1]:7700", "[0:0::1]"):
        assert is_served(header, ())
    for header in ("localhost.", "127.0.0.1.rebound.example", "0.0.0.0", "localhost:99999", ""):
        assert not is_served(header, ())


def test_an_allowed_name_is_served_at_its_port_or_at_every_port():
    every, one = ServedHost("lab.example"), ServedHost("lab.example", 80)
    assert is_served("lab.example:8443", [every])
    assert is_served("lab.example", [one])
    assert not is_served("lab.example:8443", [one])
    assert not is_served("other.lab.example", [every])
