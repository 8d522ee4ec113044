from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from twinstack.linux import child
from twinstack.policy import probe
from twinstack.policy.probe import ProbeLink, ProbeTarget
from twinstack.policy.truth_table import Cell
from twinstack.policy.verdict import OPEN


class Asker:
    """A child that finds everything open, and keeps what it was to ask."""

    def __init__(self, work: partial[list[str]]) -> None:
        self.targets: list[ProbeTarget] = work.args[0]

    def answer(self) -> list[str]:
        return [OPEN] * len(self.targets)

    def end(self) -> None:
        pass


def test_a_link_local_address_on_another_machine_is_asked(monkeypatch: pytest.MonkeyPatch):
    cell = Cell("here", "there", "", "tcp6", 80, False, "denied", segment="app")
    own = {("here", "app"): "10.0.0.30", ("there", "app"): "10.0.0.31"}
    links = {
        name: [ProbeLink(2, own[name, "app"], f"02:54:0a:00:00:{last}", None)]
        for name, last in (("here", "1e"), ("there", "1f"))
    }
    askers: list[Asker] = []

    def start(_name: str, _namespace: object, work: Any, then: object = None) -> Asker:
        if then is not None:  # listens
            listener = Asker(partial(list, []))
            listener.answer = lambda: links["here"]  # type: ignore[method-assign,assignment,return-value]
            return listener
        askers.append(Asker(work))
        return askers[-1]

    monkeypatch.setattr(child, "start", start)
    elsewhere = {"there": links["there"]}
    assert probe.ask([cell], {"here": None}, own, elsewhere=elsewhere) == {cell: OPEN}
    ((target,),) = (asker.targets for asker in askers)
    assert target == ProbeTarget(cell, "fe80::54:aff:fe00:1f", 2)
