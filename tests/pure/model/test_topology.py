"""A written topology is taken whole or refused in clear lines, never by a traceback."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_cases import REPOSITORY, TEXT, WRITTEN, Edit, written
from twinstack.errors import TopologyError, TwinstackError
from twinstack.model.plan import resolve
from twinstack.model.topology_file import load, parse

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    80,
    65536,
    10**30,
    0.1,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "ü",
    "'",
    "\n",
    "${x}",
    "a" * 300,
    "10.0.0.0/24",
    "10.0.0.1",
    "0.0.0.0/0",
    "::1",
    "255.255.255.0/24",
    "172.30.0.0/16",
    "1.2.3.4/33",
    "10.0.0.1-10.0.0.2",
    "10.0.0.9-10.0.0.1",
    "128M",
    "0M",
    "9" * 30 + "G",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    {1: 2},
    {None: None},
    "world",
    "host",
    "docker",
    "nginx-lb",
    "redis",
    "postgres",
    "nginx",
    "asgi",
    "wsgi",
)


def one_mistake(text: str) -> str:
    with pytest.raises(TopologyError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return lines[0]


def service(name: str, **values: Any) -> Edit:
    return lambda d: d["services"][name].update(values)


def limits(**values: Any) -> Edit:
    return lambda d: d["services"]["nginx-lb"]["limits"].update(values)


def segment(shape: str, name: str, **values: Any) -> Edit:
    return lambda d: d["shapes"][shape]["segments"][name].update(values)


APP = "shapes.flat.segments.app"
FORM: dict[str, tuple[Edit, str, str]] = {
    "unknown key at the top": (lambda d: d.update(servces={}), "servces", "known key"),
    "unknown key in a service": (service("nginx-lb", prot=80), "services.nginx-lb.prot", "known"),
    "unknown key in a limit": (limits(cpu=1), "services.nginx-lb.limits.cpu", "known key"),
    "unknown key in a segment": (segment("flat", "app", gateway="x"), f"{APP}.gateway", "known"),
    "missing key": (
        lambda d: d["services"]["nginx-lb"].pop("port"),
        "services.nginx-lb.port",
        "missing",
    ),
    "missing services": (lambda d: d.pop("services"), "services", "missing"),
    "no services": (lambda d: d.update(services={}, flows=[], host_ports=[]), "services", "1"),
    "no shapes": (lambda d: d.update(shapes={}), "shapes", "at least 1"),
    "port 0": (service("nginx-lb", port=0), "services.nginx-lb.port", "at least 1"),
    "port 65536": (service("nginx-lb", port=65536), "services.nginx-lb.port", "at most 65535"),
    "port -1": (service("nginx-lb", port=-1), "services.nginx-lb.port", "at least 1"),
    "port in words": (service("nginx-lb", port="80"), "services.nginx-lb.port", "integer"),
    "port is yes": (service("nginx-lb", port=True), "services.nginx-lb.port", "integer"),
    "host port 65536": (
        lambda d: d["host_ports"][0].update(port=65536),
        "host_ports.0.port",
        "at most 65535",
    ),
    "egress port 0": (lambda d: d["egress"].update(tcp=[0]), "egress.tcp.0", "at least 1"),
    "egress port twice": (lambda d: d["egress"].update(tcp=[80, 80]), "egress", "a port twice"),
    "egress ports beyond a multiport match": (
        lambda d: d["egress"].update(tcp=list(range(1, 17))),
        "egress.tcp",
        "at most 15",
    ),
    "no new connection at all": (
        lambda d: d["edge"].update(new_connections_per_second=0),
        "edge.new_connections_per_second",
        "at least 1",
    ),
    "a burst beyond hashlimit's": (
        lambda d: d["edge"].update(burst=20000),
        "edge.burst",
        "at most 10000",
    ),
    "a flow of another protocol": (
        lambda d: d["flows"].append({"from": "world", "to": "nginx-lb", "protocol": "sctp"}),
        "flows.13.protocol",
        "tcp",
    ),
    "no replicas": (service("nginx-lb", replicas=0), "services.nginx-lb.replicas", "at least 1"),
    "half a replica": (service("nginx-lb", replicas=1.5), "services.nginx-lb.replicas", "integer"),
    "cpus 0": (limits(cpus=0), "services.nginx-lb.limits.cpus", "0 is out of range"),
    "cpus below 0": (limits(cpus=-1), "services.nginx-lb.limits.cpus", "out of range"),
    "cpus not a number": (limits(cpus=float("nan")), "services.nginx-lb.limits.cpus", "nan"),
    "memory 0": (limits(memory="0M"), "services.nginx-lb.limits.memory", "at least"),
    "memory without unit": (limits(memory=64), "services.nginx-lb.limits.memory", "K, M or G"),
    "pids 0": (limits(pids=0), "services.nginx-lb.limits.pids", "at least 1"),
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
    "no way to ask": (service("nginx-lb", health={}), "services.nginx-lb.health", "exactly one"),
    "two ways to ask": (
        service("nginx-lb", health={"http": "/h", "ping": "redis"}),
        "services.nginx-lb.health",
        "exactly one",
    ),
    "path that breaks a shell": (
        service("nginx-lb", health={"http": "/a'b"}),
        "services.nginx-lb.health.http",
        "pattern",
    ),
    "module of a store": (service("redis-cache", module="a:b"), "services.redis-cache", "module"),
    "python without a module": (
        lambda d: d["services"]["order-service"].pop("module"),
        "services.order-service",
        "module",
    ),
    "unknown runtime": (service("nginx-lb", runtime="apache"), "services.nginx-lb.runtime", "wsgi"),
    "user is root": (service("nginx-lb", user=0), "services.nginx-lb.user", "at least 1000"),
    "unknown world": (lambda d: d["host_ports"][0].update(world="vm"), "host_ports.0.world", "net"),
    "unknown role": (lambda d: d["software"]["bases"].update(java="x"), "software.bases.java", ""),
}


@pytest.mark.parametrize("name", FORM)
def test_a_malformed_value_is_one_clear_line_with_its_path(name: str):
    edit, path, fragment = FORM[name]
    line = one_mistake(written(edit))
    assert line.startswith(f"topology.yml: {path}"), line
    assert fragment in line


@pytest.mark.parametrize("name", FORM)
def test_a_malformed_value_comes_with_its_remedy(name: str):
    assert "; " in one_mistake(written(FORM[name][0]))


BROKEN_YAML = {
    "tab": ("shapes:\n\t- b", "line 2: is not YAML"),
    "open bracket": ("shapes: [", "line 2: is not YAML"),
    "no mapping": ("a: b: c", "line 1: is not YAML"),
    "unknown alias": ("a: *b", "line 1: is not YAML"),
    "unknown tag": ("a: !x 1", "line 1: is not YAML"),
    "an object of Python": ("a: !!python/object/apply:os.system [id]", "line 1: is not YAML"),
    "two documents": ("a: 1\n---\nb: 2", "is not YAML"),
    "control character": ("a: \0", "file: is not YAML"),
    "key given twice": ("shapes: {}\nshapes: {}", "the key 'shapes' is given twice"),
    "key that is a list": ("? [a]\n: 1", "a key must be a plain word"),
    "endless": ("&a {services: *a}", "is not YAML"),
    "empty": ("", "file: is no topology: it is empty"),
    "only a comment": ("# nothing\n", "file: is no topology: it is empty"),
    "a list": ("- a", "file: is no topology: it holds a list"),
    "a word": ("hello", "file: is no topology: it holds a str"),
}


@pytest.mark.parametrize("name", BROKEN_YAML)
def test_text_that_is_no_topology_is_one_clear_line(name: str):
    text, fragment = BROKEN_YAML[name]
    line = one_mistake(text)
    assert fragment in line
    assert "; " in line


@pytest.mark.parametrize(
    "text",
    [
        "port: 2001-99-99",  # YAML reads a date
        "port: " + "9" * 5000,
        "port: 0b_",
        "port: !!int abc",
        "port: !!float x",
        "port: !!bool x",
        "? !!set {a: null}\n: 1",
        "[" * 1_000,
    ],
)
def test_a_scalar_that_yaml_cannot_build_is_one_clear_line(text: str):
    one_mistake(text)


def test_a_merge_key_is_yaml_like_any_other():
    parse(
        TEXT.replace(
            "limits: {cpus: 1.0, memory: 64M, pids: 32}",
            "limits: {<<: {cpus: 1.0, memory: 64M}, pids: 32}",
        )
    )


def test_a_key_given_twice_deep_inside_is_noticed():
    text = TEXT.replace("    port: 80\n", "    port: 80\n    port: 81\n")
    assert "the key 'port' is given twice" in one_mistake(text)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path, make: Any, cause: str):
    path = tmp_path / "other.yml"
    make(path)
    with pytest.raises(TopologyError) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("other.yml: file: cannot be read: ")
    assert cause in str(caught.value)
    assert "; " in str(caught.value)


def test_the_committed_topology_is_sound():
    topology = load(REPOSITORY / "topology.yml")
    assert {"flat", "tiered"} == set(topology.shapes)
    assert len(topology.services) == 7
    assert topology == parse(TEXT)


def test_sizes_are_read_in_bytes():
    topology = parse(written(limits(memory="16384K")))
    assert topology.services["nginx-lb"].limits.memory == 16 * 1024**2


def test_every_mistake_is_told_at_once():
    def edit(d: dict[str, Any]) -> None:
        d["services"]["nginx-lb"]["port"] = 0
        d["services"]["redis-cache"]["replicas"] = 0
        d["unknown"] = 1

    with pytest.raises(TopologyError) as caught:
        parse(written(edit))
    assert 3 == len(str(caught.value).splitlines()) == len(caught.value.mistakes)


def test_a_topology_cannot_be_changed_after_it_was_read():
    topology = parse(TEXT)
    with pytest.raises(ValueError, match="frozen"):
        topology.services["nginx-lb"].port = 81


def _paths(node: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    found = [path] if path else []
    for key, child in children:
        found += _paths(child, (*path, key))
    return found


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def mutate(document: dict[str, Any], chance: random.Random) -> None:
    """Delete, replace, rename, lengthen or transplant one node."""
    paths = _paths(document)
    path = chance.choice(paths)
    parent, key = _at(document, path[:-1]), path[-1]
    match chance.randrange(5):
        case 0:
            del parent[key]
        case 1 | 2:
            parent[key] = copy.deepcopy(chance.choice(ODD))
        case 3 if isinstance(parent, dict):
            words = [odd for odd in ODD if not isinstance(odd, (list, dict))]
            parent[chance.choice(words)] = parent.pop(key)
        case 3:
            parent.append(copy.deepcopy(chance.choice(ODD)))
        case _:
            parent[key] = copy.deepcopy(_at(document, chance.choice(paths)))


@pytest.mark.filterwarnings("ignore:__int__ returned non-int")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_a_mutilated_topology_is_taken_or_refused_but_never_breaks(seed: int, count: int):
    chance = random.Random(seed)
    document = copy.deepcopy(WRITTEN)
    for _ in range(count):
        if document:
            mutate(document, chance)
    refused: TwinstackError | None = None
    try:
        topology = parse(yaml.dump(document, Dumper=yaml.CSafeDumper))
    except TopologyError as error:
        refused = error
    if isinstance(refused, TopologyError):
        lines = str(refused).splitlines()
        assert len(refused.mistakes) == len(lines)
        assert all(line.startswith("topology.yml: ") for line in lines)
        return
    for shape in topology.shapes:
        for instance in ("main", "other"):
            try:
                resolve(topology, shape, instance)
            except TwinstackError as error:
                refused = error
    assert refused is None or len(str(refused).splitlines()) == 1
