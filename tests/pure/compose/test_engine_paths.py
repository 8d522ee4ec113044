"""Where an engine of ours is."""

from __future__ import annotations

from twinstack.compose.engine_paths import DEFAULT


def test_what_belongs_to_one_engine_alone_has_its_token():
    assert str(DEFAULT.exec_root("ab12")) == "/run/twinstack/engine/exec-ab12"
    assert DEFAULT.cgroups("ab12") == "/twinstack-engine-ab12"
    assert DEFAULT.configuration("ab12").name == "daemon-ab12.json"


def test_an_engine_that_a_release_without_tokens_started_is_found_where_it_is():
    assert str(DEFAULT.exec_root("")) == "/run/twinstack/engine/exec"
    assert DEFAULT.cgroups("") == "/twinstack-engine"
    assert DEFAULT.configuration("").name == "daemon.json"
