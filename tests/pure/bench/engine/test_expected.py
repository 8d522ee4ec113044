"""A difference is expected of the two worlds by its values, and has a reason."""

from __future__ import annotations

from bench.engine.expected import EXPECTED, reason


def test_a_reason_needs_the_two_worlds_and_the_expected_values() -> None:
    values = {"net": "file append", "docker": "pipe"}
    assert reason("stdout", values) == "the engine copies a container's log"
    assert reason("stdin", values) is None
    assert reason("stdout", {**values, "docker": "socket"}) is None
    assert reason("stdout", {"net": "pipe", "docker": "file append"}) is None
    assert reason("stdout", {"before": "file append", "after": "pipe"}) is None


def test_a_limit_of_open_files_may_differ_where_both_are_ample() -> None:
    ample = {"net": "20000 (hard 524288)", "docker": "1048576"}
    assert reason("rlimit.nofile", ample)
    assert reason("rlimit.nofile", {**ample, "net": "1024 (hard 524288)"}) is None


def test_every_expected_difference_has_a_reason_of_its_own() -> None:
    assert all(expected.reason for expected in EXPECTED)


def test_nothing_of_the_policy_is_expected_to_differ() -> None:
    for key in ("policy", "policy.rate_limit", "shape", "rows.products", "libraries"):
        assert reason(key, {"net": "on", "docker": "off"}) is None
