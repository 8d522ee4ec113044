"""A world that is not up has no fingerprint; what is read of its stores has no secret."""

from __future__ import annotations

import pytest

from bench.engine import loads
from tests.support.bench_fakes import FakeWorld, served
from twinstack.errors import CannotTell, Missing
from twinstack.observe.fingerprint import read as fingerprint
from twinstack.observe.fingerprint.network import NetworkValues
from twinstack.observe.fingerprint.read import WHOLE, Fingerprint


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read no process: a fake world's fingerprint is its plan, software and answer."""
    monkeypatch.setattr(fingerprint, "seccomp_filters", lambda pids: dict.fromkeys(pids, ()))
    monkeypatch.setattr(fingerprint, "network_values", lambda *_: NetworkValues({}, {}))
    monkeypatch.setattr(fingerprint, "process_values", lambda *_: {})
    monkeypatch.setattr(fingerprint, "_stores", lambda *_: {})


def read(world: FakeWorld) -> Fingerprint:
    return fingerprint.read(world, lambda: loads.get_ok(world.endpoint("nginx-lb"), "/"))


@pytest.mark.usefixtures("unread")
def test_a_world_as_a_whole_has_its_shape_software_and_answer() -> None:
    with served() as port:
        found = read(FakeWorld("net", port))
    assert found.values["shape"] == {WHOLE: "flat"}
    assert found.values["software.nginx"] == {WHOLE: "1.22"}
    assert int(found.values["answer.bytes"][WHOLE]) > 2000
    assert {"host.kernel", "host.clocksource", "host.thp"} <= found.values.keys()


@pytest.mark.usefixtures("unread")
def test_a_world_that_is_not_up_or_answers_errors_is_not_read() -> None:
    with served(lambda number: 500) as port:
        world = FakeWorld("net", port)
        with pytest.raises(CannotTell, match="answers 500"):
            read(world)
        world.state = "starting"
        with pytest.raises(Missing, match=r"not healthy: nginx-lb, .*invoke net\.up"):
            read(world)


def test_settings_are_words_without_secrets() -> None:
    values = {"save": "900 1", "requirepass": "hush", "masterauth": "", "tls-key-file-pass": ""}
    assert fingerprint.words(values) == (
        "masterauth= requirepass=set save=900,1 tls-key-file-pass="
    )
