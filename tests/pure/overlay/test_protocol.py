from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from twinstack.errors import NotHealthy, SeveralFailed, TwinstackError
from twinstack.overlay.hosts import HostAction
from twinstack.overlay.protocol import (
    REQUEST,
    VERDICT,
    AgentRequest,
    errors_from_json,
    errors_to_json,
    preview_from_json,
    preview_to_json,
)
from twinstack.overlay.record import OverlayOptions
from twinstack.policy.truth_table import Cell
from twinstack.policy.verdict import CellResult, PolicyVerdict, RuleDifference
from twinstack.reconcile import Change, Preview

OPTIONS = OverlayOptions("tiered", 2, ("right",), policy=False)


def test_a_request_reads_back_as_it_was_written():
    software = {"nginx": "nginx-1", "supervisor": "supervisor-1"}
    request = AgentRequest("up", "left", "main", "", OPTIONS, software=software, timeout_s=3)
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request
    down = AgentRequest("down", "left", "main")
    assert REQUEST.validate_json(REQUEST.dump_json(down)) == down
    with pytest.raises(ValueError, match="action"):
        REQUEST.validate_json(b'{"action": "format", "host": "left", "instance": "main"}')


def test_a_preview_reads_back_as_it_was_written():
    step = HostAction("bridge br-app", ("ip link add br-app type bridge",))
    preview = Preview(9, (Change(step, "is absent"),), ("software is to be built",))
    assert preview_from_json(json.loads(json.dumps(preview_to_json(preview)))) == preview


def test_a_verdict_reads_back_as_it_was_written():
    cell = Cell("order-service", "redis-cache", "10.0.0.50", "tcp", 6379, True, "declared")
    verdict = PolicyVerdict(
        world="net",
        shape="flat",
        results=(CellResult(cell, "no answer", "missing: -A X"),),
        rule_count=62,
        differences=(RuleDifference("X", "-A X", True),),
        unfiltered_bridges=("br-app",),
        seconds=1.5,
    )
    assert VERDICT.validate_python(json.loads(json.dumps(asdict(verdict)))) == verdict


def test_failures_read_back_with_their_kind_their_notes_and_their_host():
    unhealthy = NotHealthy(
        "nginx-lb", "is starting after 1 s", "", 'see "invoke net.logs nginx-lb"'
    )
    unhealthy.add_note("its log")
    several = SeveralFailed("up", [unhealthy, TwinstackError("bridge br-app", "is not ours")])
    first, second = errors_from_json("left", json.loads(json.dumps(errors_to_json(several))))
    assert isinstance(first, NotHealthy)
    assert str(first) == (
        'left: nginx-lb: is starting after 1 s; see "invoke overlay.logs nginx-lb --ssh"'
    )
    assert first.__notes__ == ["its log"]
    assert str(second) == "left: bridge br-app: is not ours"
    (bug,) = errors_from_json("left", errors_to_json(KeyError("x")))
    assert "KeyError" in str(bug)
