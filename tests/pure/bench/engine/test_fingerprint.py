"""A world that is not up has no fingerprint; what is read of its stores has no secret."""

from __future__ import annotations

import pytest

from bench.engine import fingerprint
from bench.engine.fingerprint import WHOLE
from tests.support.bench_fakes import FakeWorld, served
from twinstack.errors import CannotTell, Missing


@pytest.mark.usefixtures("unread")
def test_a_world_as_a_whole_has_its_shape_software_and_answer() -> None:
    with served() as port:
        found = fingerprint.read(FakeWorld("net", port), "nginx-lb", "/")
    assert found.values["shape"] == {WHOLE: "flat"}
    assert found.values["software.nginx"] == {WHOLE: "1.22"}
    assert int(found.values["answer.bytes"][WHOLE]) > 2000
    assert {"host.kernel", "host.clocksource", "host.thp"} <= found.values.keys()


@pytest.mark.usefixtures("unread")
def test_a_world_that_is_not_up_or_answers_errors_is_not_read() -> None:
    with served(lambda number: 500) as port:
        world = FakeWorld("net", port)
        with pytest.raises(CannotTell, match="answers 500"):
            fingerprint.read(world, "nginx-lb", "/")
        world.state = "starting"
        with pytest.raises(Missing, match=r"not healthy: nginx-lb, .*invoke net\.up"):
            fingerprint.read(world, "nginx-lb", "/")


def test_settings_are_words_without_secrets() -> None:
    values = {"save": "900 1", "requirepass": "hush", "masterauth": "", "tls-key-file-pass": ""}
    assert fingerprint.words(values) == (
        "masterauth= requirepass=set save=900,1 tls-key-file-pass="
    )
