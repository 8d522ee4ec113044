"""An exception covers what it names, and no more."""

from __future__ import annotations

from twinstack.cis.catalogue import Finding
from twinstack.cis.known import Exempt


def test_an_exception_covers_what_it_names_and_nothing_else():
    known = Exempt("5.14", "*", "nginx-lb", "0.0.0.0:* is bound to every interface", "")
    finding = Finding("5.14", "f", "nginx-lb", "0.0.0.0:8088:80 is bound to every interface", "")
    assert known.covers(finding)
    for other in (
        Finding("5.13", finding.file, finding.where, finding.what, ""),
        Finding("5.14", finding.file, "api-gateway", finding.what, ""),
        Finding("5.14", finding.file, finding.where, "[::]:1:1 is bound to every interface", ""),
    ):
        assert not known.covers(other)
