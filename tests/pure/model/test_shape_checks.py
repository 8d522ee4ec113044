"""What segments, tiers and subnets say against each other is one clear line for each mistake."""

from __future__ import annotations

import pytest

from tests.support.core_cases import Edit, written
from tests.support.model_cases import mistakes_in, one_mistake, segment, service
from twinstack.model.topology_file import parse

APP = "shapes.flat.segments.app"
TIERED = "shapes.tiered.segments"


RULES: dict[str, tuple[Edit, str, str]] = {
    "subnet used twice": (
        segment("tiered", "backend", subnet="172.20.0.0/24"),
        f"{TIERED}.backend.subnet",
        "is the same as",
    ),
    "subnets overlap": (
        segment("tiered", "backend", subnet="172.20.0.0/16"),
        f"{TIERED}.backend.subnet",
        "overlaps",
    ),
    "both worlds in one subnet": (
        segment("flat", "app", docker_subnet="10.0.0.0/24"),
        f"{APP}.docker_subnet",
        "is the same as",
    ),
    "subnet too small": (
        segment("tiered", "frontend", subnet="172.20.0.0/30"),
        f"{TIERED}.frontend.subnet",
        "too small",
    ),
    "bridge used twice": (
        segment("tiered", "backend", bridge="br-frontend"),
        f"{TIERED}.backend.bridge",
        "is used twice",
    ),
    "tier in two segments": (
        segment("tiered", "backend", tiers=["backend", "frontend"]),
        f"{TIERED}.backend.tiers.1",
        "cannot hold frontend",
    ),
    "tier in no segment": (
        segment("tiered", "backend", tiers=["middle"]),
        TIERED,
        "no segment holds the tier backend: product-service is in it",
    ),
    "pool outside": (
        segment("flat", "app", pool="10.0.0.128-10.0.1.2"),
        f"{APP}.pool",
        "outside 10.0.0.0/24",
    ),
    "bridge that the kernel knows otherwise": (
        segment("tiered", "backend", bridge="all"),
        f"{TIERED}.backend.bridge",
        "all has a meaning",
    ),
    "more replicas than a bridge has ports": (
        lambda d: (
            d["services"]["product-service"].update(replicas=1020),
            d["shapes"]["flat"]["segments"]["app"].update(
                subnet="10.0.0.0/16", pool="10.0.1.0-10.0.255.254", docker_subnet="172.16.0.0/16"
            ),
            d["shapes"]["tiered"]["segments"]["backend"].update(
                subnet="10.1.0.0/16", docker_subnet="10.2.0.0/16"
            ),
        ),
        APP,
        "a bridge has 1023 ports",
    ),
    "a segment that no network can be named after": (
        lambda d: d["shapes"]["flat"].update(
            segments={"a/ b": d["shapes"]["flat"]["segments"]["app"]}
        ),
        "shapes.flat.segments.a/ b",
        "lower-case",
    ),
    "pool with the gateway in it": (
        segment("flat", "app", pool="10.0.0.0-10.0.0.200"),
        f"{APP}.pool",
        "a reserved address",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_contradiction_is_one_clear_line_with_its_path_and_remedy(name: str):
    edit, path, fragment = RULES[name]
    line = one_mistake(written(edit))
    assert line.startswith(f"{path}: "), line
    assert fragment in line
    assert "; " in line


def test_a_misspelt_tier_is_one_mistake_and_not_one_for_each_shape():
    line = one_mistake(written(service("nginx-lb", tier="frontnd")))
    assert line.startswith("services.nginx-lb.tier: 'frontnd' is no tier: no segment holds it; ")
    assert line.endswith("did you mean frontend?")


def test_a_tier_that_a_shape_lacks_is_one_mistake_for_all_services_in_it():
    lines = mistakes_in(written(segment("tiered", "frontend", tiers=["front"])))
    assert [line.partition("segments: ")[2].partition(";")[0] for line in lines] == [
        "no segment holds the tier frontend: nginx-lb is in it"
    ]


def test_the_same_bridge_may_serve_two_shapes():
    parse(written(segment("tiered", "frontend", bridge="br-app")))
