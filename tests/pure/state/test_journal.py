"""The journal is whole or absent; one that cannot be understood is an error."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinstack.errors import CannotTell
from twinstack.model.releases import ServiceRelease
from twinstack.state.journal import Journal, read_journal, write_journal
from twinstack.state.paths import InstancePaths

NAMES = st.text(st.characters(codec="ascii", categories=["Ll", "Nd", "Pd"]), max_size=12)
JOURNALS = st.builds(
    Journal,
    intended=st.lists(NAMES, max_size=4).map(tuple),
    mounted_pins=st.booleans(),
    shape=st.none() | NAMES,
    limited=st.booleans(),
    releases=st.lists(
        st.builds(ServiceRelease, NAMES, st.lists(NAMES, min_size=1, max_size=3).map(tuple), NAMES),
        max_size=2,
    ).map(tuple),
)


def test_an_absent_journal_is_an_empty_one(paths: InstancePaths):
    assert read_journal(paths) == Journal()
    assert Journal().empty


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(JOURNALS)
def test_what_is_journalled_is_read_back(paths: InstancePaths, journal: Journal):
    write_journal(paths, journal)
    assert read_journal(paths) == journal
    assert (paths.run / "journal.json").exists() != journal.empty
    assert not list(paths.run.glob("*.new") if paths.run.is_dir() else [])


def test_an_empty_journal_is_no_file_even_where_none_was(paths: InstancePaths):
    write_journal(paths, Journal())
    assert not paths.run.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        '"x"',
        "{}",
        '{"intended": null}',
        '{"intended": [], "odd": 1}',
        '{"namespaces": {}}',
    ],
)
def test_a_journal_that_cannot_be_understood_is_an_error_and_not_an_empty_one(
    paths: InstancePaths, text: str
):
    paths.run.mkdir(parents=True)
    (paths.run / "journal.json").write_text(text)
    with pytest.raises(CannotTell, match="cannot be understood") as caught:
        read_journal(paths)
    assert "invoke clean" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("values", [{"mounted_pins": 1}, {"intended": "abc"}, {"limited": "no"}])
def test_a_journal_of_other_kinds_of_values_is_an_error(
    paths: InstancePaths, values: dict[str, object]
):
    paths.run.mkdir(parents=True)
    (paths.run / "journal.json").write_text(json.dumps({"intended": [], **values}))
    with pytest.raises(CannotTell):
        read_journal(paths)


def test_bytes_that_are_no_text_are_an_error(paths: InstancePaths):
    paths.run.mkdir(parents=True)
    (paths.run / "journal.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CannotTell):
        read_journal(paths)
