"""Hostile HTTP through nginx and at the gateway's own port: no desync, no hang, no failure of ours.

The whole corpus goes to both by `invoke check.http`; a sample of it by `make test`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.e2e

SAMPLE_EVERY = 12
VECTORS_LEAST = 1_500
SLOW_CLIENTS = 200


def _in_namespace(host: Sandbox, name: str, module: str, *words: str) -> dict[str, Any]:
    """Run a helper where a replica is, or on the host ("")."""
    command = [sys.executable, "-m", f"tests.support.{module}", *words]
    inside = ["ip", "netns", "exec", name] if name else []
    done = host.run(*inside, *command, check=False, timeout_s=900)
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize(
    ("where", "address", "port"),
    [("", "10.0.0.10", "80"), ("nginx-lb", "10.0.0.20", "3000")],
    ids=["through nginx", "at the gateway"],
)
def test_hostile_http_gets_documented_answers_and_harms_nobody(
    flat: Sandbox, full: bool, tell: Callable[[str], None], where: str, address: str, port: str
) -> None:
    every = "1" if full else str(SAMPLE_EVERY)
    found = _in_namespace(flat, where, "http_probe", address, port, every)
    tell(json.dumps({**found, "problems": len(found["problems"])}))
    assert found["problems"] == []
    assert found["longest_s"] < 5
    assert found["vectors"] >= (VECTORS_LEAST if full else VECTORS_LEAST // SAMPLE_EVERY)


def test_slow_clients_end_and_cost_others_little(
    flat: Sandbox, full: bool, tell: Callable[[str], None]
) -> None:
    watched_s = "4" if full else "1"
    words = ("10.0.0.10", "80", str(SLOW_CLIENTS), watched_s)
    found = _in_namespace(flat, "", "slow_clients", *words)
    tell(json.dumps(found))
    assert set(found["statuses"]) == {"200"}
    assert found["ended"] == dict.fromkeys(("head", "body", "reader"), SLOW_CLIENTS)
    waits = found["p99_ms"]
    if full:  # a busy machine's own p99 says nothing
        assert waits["during"] < 2 * max(waits["before"], waits["after"])
