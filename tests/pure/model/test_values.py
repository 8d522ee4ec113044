"""A value of a kind that it cannot be is one clear line: a size, a subnet, a pool, a name."""

from __future__ import annotations

import pytest

from tests.support.core_cases import Edit, written
from tests.support.model_cases import limits, one_mistake, segment, service
from twinstack.model.topology_file import parse

APP = "shapes.flat.segments.app"

KINDS: dict[str, tuple[Edit, str, str]] = {
    "memory 0": (limits(memory="0M"), "services.nginx-lb.limits.memory", "at least"),
    "memory without unit": (limits(memory=64), "services.nginx-lb.limits.memory", "K, M or G"),
    "bridge too long": (
        segment("flat", "app", bridge="br-application-x"),
        f"{APP}.bridge",
        "the kernel allows 15",
    ),
    "bridge with a slash": (segment("flat", "app", bridge="br/app"), f"{APP}.bridge", "no name"),
    "subnet with host bits": (segment("flat", "app", subnet="10.0.0.1/24"), f"{APP}.subnet", ""),
    "subnet of IPv6": (segment("flat", "app", subnet="fd00::/64"), f"{APP}.subnet", ""),
    "subnet of nonsense": (segment("flat", "app", docker_subnet="x"), f"{APP}.docker_subnet", ""),
    "pool of one end": (segment("flat", "app", pool="10.0.0.9"), f"{APP}.pool", "FIRST-LAST"),
    "pool backwards": (segment("flat", "app", pool="10.0.0.9-10.0.0.8"), f"{APP}.pool", "before"),
    "address of nonsense": (
        service("nginx-lb", addresses=["10.0.0"]),
        "services.nginx-lb.addresses.0",
        "IPv4",
    ),
    "path that breaks a shell": (
        service("nginx-lb", health={"http": "/a'b"}),
        "services.nginx-lb.health.http",
        "pattern",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_value_of_another_kind_is_one_clear_line_with_its_path_and_remedy(name: str):
    edit, path, fragment = KINDS[name]
    line = one_mistake(written(edit))
    assert line.startswith(f"{path}: cannot be "), line
    assert fragment in line
    assert "; " in line


def test_sizes_are_read_in_bytes():
    topology = parse(written(limits(memory="16384K")))
    assert topology.services["nginx-lb"].limits.memory_bytes == 16 * 1024**2
