"""A rule, a table or a limit of the host's is told from others."""

from __future__ import annotations

from dataclasses import replace

from tests.support.why_evidence import (
    REQUEST,
    SILENT,
    found,
    seen_until,
    sound,
)
from twinstack.observe.why.evidence import MetRule


def test_a_full_connection_table_is_named():
    evidence = seen_until(sound(**SILENT), "br-app")
    host = replace(evidence.host, conntrack=(262_144, 262_144))
    full = replace(evidence, namespaces={**evidence.namespaces, "host": host})
    assert found(full).cause == "conntrack-full"


def rule(text: str, verdict: str = "drop", **more: object) -> MetRule:
    given = {"where": "host", "table": "filter", "chain": "FORWARD", "headers": REQUEST}
    return MetRule(**(given | {"rule": text, "verdict": verdict} | more))  # type: ignore[arg-type]


def test_a_limit_of_the_edge_is_told_from_a_missing_flow():
    jump = rule('-A X -m comment --comment "twinstack:main too many" -j D', "jump")
    last = rule('-A D -m comment --comment "twinstack:main denied" -j DROP')
    evidence = seen_until(replace(sound(**SILENT), rules=(jump, last)), "br-app")
    assert found(evidence).cause == "edge-limit"
    assert found(replace(evidence, rules=(last,))).cause == "rule-missing"


def test_a_rule_of_a_fault_is_no_foreign_one():
    fault = rule('-A F -m comment --comment "twinstack:main fault loss:nginx-lb" -j DROP')
    evidence = seen_until(replace(sound(**SILENT), rules=(fault,)), "br-app")
    assert found(evidence).cause == "fault"


def test_a_rule_of_nftables_is_named_by_its_table():
    native = rule("", table="lab", chain="input", foreign=True)
    result = found(seen_until(replace(sound(**SILENT), rules=(native,)), "br-app"))
    assert result.cause == "foreign-rule"
    assert "nft list table lab" in result.remedy
