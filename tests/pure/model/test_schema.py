"""The JSON Schema says what topology.yml may hold, and is the committed one."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from docs.json_schemas import SCHEMAS
from tests.support.core_cases import TEXT, WRITTEN, Edit
from tests.support.model_cases import limits, segment, service
from tests.support.project import ROOT
from twinstack.model.schema import example, part, topology_schema

VALIDATOR = jsonschema.Draft202012Validator(topology_schema())


def errors(document: Any) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_one_and_accepts_the_committed_topology():
    jsonschema.Draft202012Validator.check_schema(topology_schema())
    assert errors(WRITTEN) == []


def test_the_committed_topology_names_its_schema_for_editors():
    (name,) = [line.partition("$schema=")[2] for line in TEXT.splitlines() if "$schema=" in line]
    assert ROOT / name == SCHEMAS / "topology.yml.json"


REFUSED: dict[str, tuple[Edit, str]] = {
    "an unknown key": (lambda d: d.update(servces={}), "$"),
    "an unknown key in a service": (service("nginx-lb", prot=80), "$.services.nginx-lb"),
    "a missing key": (lambda d: d["services"]["nginx-lb"].pop("port"), "$.services.nginx-lb"),
    "a port too high": (service("nginx-lb", port=70000), "$.services.nginx-lb.port"),
    "another runtime": (service("nginx-lb", runtime="apache"), "$.services.nginx-lb.runtime"),
    "a size without unit": (limits(memory=64), "$.services.nginx-lb.limits.memory"),
    "a pool of one end": (
        segment("flat", "app", pool="10.0.0.9"),
        "$.shapes.flat.segments.app.pool",
    ),
    "a secret of another kind": (
        service("nginx-lb", secrets=["token"]),
        "$.services.nginx-lb.secrets[0]",
    ),
    "no way to ask": (service("nginx-lb", health={}), "$.services.nginx-lb.health"),
    "a service named badly": (
        lambda d: d["services"].update({"Web": d["services"]["nginx-lb"]}),
        "$.services",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_editor_marks_what_is_refused(name: str):
    edit, path = REFUSED[name]
    document = copy.deepcopy(WRITTEN)
    edit(document)
    assert [found.replace("['nginx-lb']", ".nginx-lb") for found in errors(document)] == [path]


def test_every_part_that_is_required_has_an_example_that_is_valid():
    for path in (("services", "x"), ("shapes", "flat", "segments", "x"), ("flows", 0), ("edge",)):
        value = example(part(path))
        assert value is not None, path
        known = VALIDATOR.evolve(schema=part(path) | {"$defs": topology_schema()["$defs"]})
        wrong = [error.json_path for error in known.iter_errors(value)]
        assert wrong in ([], ["$.health"]), path  # which of two it is, is the user's choice


def test_a_path_that_the_schema_does_not_know_has_no_part():
    assert part(("none", "of", 3, "these")) == {}
