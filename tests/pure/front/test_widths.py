"""Tables fit terminals of 20 to 200 columns, cut no name, and say what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from front import chaos, policy, reporting, tables
from tests.support import craft
from tests.support.bench_fakes import PLAN as LIVE_PLAN
from tests.support.confined import PROCESS, REPLICA
from tests.support.connection_cases import TABLE, connections, group, inside
from tests.support.core_cases import planned
from tests.support.readings import reading
from tests.support.traffic_cases import example
from twinstack.chaos.judge import JudgedFault, OrdersSeen
from twinstack.chaos.run import ChaosReport
from twinstack.cis.gate import CisReport
from twinstack.confinement.requirements import ConfinedReplica, ListeningSocket
from twinstack.doctor.report import Check, CheckState, DoctorReport
from twinstack.observe.connections.report import Connections
from twinstack.observe.connections.text import text as connections_text
from twinstack.observe.live import table as live
from twinstack.observe.live.samples import sample
from twinstack.observe.traffic.sections import text as traffic_text
from twinstack.overlay.chaos import FaultPhase, FaultReport
from twinstack.policy import show
from twinstack.world import ServiceState

WIDTHS = (60, 80, 120, 200)
PLAN = planned()
NAMES = tuple(replica.name for replica in PLAN.replicas)
#: A sentence below a table is as long as it is; the terminal breaks it.
SENTENCES = ("0 orders", "No PID", "other users", "net: ", "host-loss of ")
SENTENCE = "its probe had no answer within 2 s, and the log says that Redis refuses the password"


def states(width: int) -> str:
    rows = [
        ServiceState(
            *(replica.name, replica.service, f"netns {replica.name}", str(replica.address)),
            replica.port,
            "unhealthy",
            SENTENCE,
            restarts=3,
            version="aaaaaaaaaaaa",
        )
        for replica in PLAN.replicas
    ]
    return tables.states(rows, width)


def doctor(width: int) -> str:
    check = Check("bridge-nf-call-iptables", CheckState.WARN, SENTENCE)
    return DoctorReport((check,)).table(width)


def strikes(width: int) -> str:
    fault = JudgedFault(1, "packet-loss", NAMES[3], 2.0, 60, 0, 0.2, 16, 0, 0.0, 1.2, ())
    return chaos.strikes_text(ChaosReport("net", 7, "", (fault,), OrdersSeen(0, 0, (), (), 0)))


def lost_host(width: int) -> str:
    phase = FaultPhase("before", 2.0, 30, 30, 0.17, ("product-service", "product-service-2"))
    return chaos.report_text(FaultReport("host-loss", "host-3", "host-1", (phase,)))


def confinement(width: int) -> str:
    listening = (ListeningSocket("tcp", "0.0.0.0", REPLICA.port),)
    facts = ConfinedReplica(REPLICA.name, (replace(PROCESS, pid=8),), listening)
    return policy._confinement_text({"net": [facts]}, {"net": []})


def conntrack(width: int) -> str:
    ours = connections({group("10.0.0.31", "10.0.0.70", 8500): 5})
    made = Connections(
        *("net", "flat", TABLE, ours.pairs(), (), ours.sources(), (inside(),)),
        *(("order-service",), None),
    )
    return connections_text(made, width)


def health(width: int) -> str:
    return live.text([asdict(sample("net", LIVE_PLAN, 0.0, [reading(1.0), reading(2.0)]))], width)


TABLES: dict[str, Callable[[int], str]] = {
    "status": states,
    "doctor": doctor,
    "chaos": strikes,
    "chaos of a host": lost_host,
    "policy.confinement": confinement,
    "conntrack": conntrack,
}


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], str]:
    """Give a function that draws a table of a task for a terminal of so many columns."""

    def draw(name: str, width: int) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        return TABLES[name](width)

    return draw


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_a_table_fits_the_terminal(at: Callable[[str, int], str], name: str, width: int) -> None:
    for line in at(name, width).splitlines():
        assert len(line) <= width or line.startswith(("not shown: ", *SENTENCES)), line


@pytest.mark.parametrize("width", [20, *WIDTHS, 1000])
def test_names_and_states_are_whole_at_any_width(width: int) -> None:
    lines = states(width).splitlines()
    for name in NAMES:
        assert any(line.split()[0] == name and "unhealthy" in line for line in lines), (width, name)
    words = " ".join(" ".join(lines).split())
    assert width < 60 or all(word in words for word in SENTENCE.split())


def test_what_is_left_out_is_named() -> None:
    assert states(60).splitlines()[-1].startswith("not shown: address, ")
    assert "not shown" not in states(200)
    assert "not shown" not in states(1000)
    assert "not shown: " in TABLES["conntrack"](30)


def test_a_pipe_has_room_for_all_and_wraps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.__stdout__", None)  # no terminal
    assert reporting.width() == 1000
    assert len(states(reporting.width()).splitlines()) == 1 + len(NAMES)
    assert len(doctor(reporting.width()).splitlines()) == 2


@pytest.mark.parametrize("width", WIDTHS)
def test_a_report_of_traffic_fits(width: int, tmp_path: Path) -> None:
    report = craft.report(example(tmp_path))
    for table in traffic_text(report, width).split("\n\n")[1:]:
        rows = table.splitlines()
        assert all(len(row) <= width or row.startswith("not shown: ") for row in rows), table


def test_a_list_of_health_is_never_narrower_than_its_names(tmp_path: Path) -> None:
    assert health(20) == health(80)


@pytest.mark.parametrize("width", [40, *WIDTHS])
def test_the_sentences_of_a_policy_are_wrapped(width: int) -> None:
    lines = show.text(PLAN, "net", width).splitlines()
    assert all(len(line) <= min(width, 78) for line in lines if line.startswith("  # "))


def test_the_cis_rules_keep_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rule: Any = type("Rule", (), {"findings": (), "exceptions": (), "reasons": ()})
    rule.number, rule.outcome, rule.title = "5.10", "pass", SENTENCE
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(CisReport, "counts", lambda _self: {"pass": 1})
    report = object.__new__(CisReport)
    object.__setattr__(report, "rules", (rule,))
    written = policy._cis_text(report)
    assert all(len(line) <= 60 for line in written.splitlines())
    assert written.splitlines()[1].startswith("5.10  pass     its probe")
