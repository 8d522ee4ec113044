"""A topology is read whole or refused in clear lines, never by a traceback."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_cases import TEXT, WRITTEN, written
from tests.support.model_cases import one_mistake
from tests.support.project import ROOT
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
    topology = load(ROOT / "topology.yml")
    assert {"flat", "tiered"} == set(topology.shapes)
    assert topology.services.keys() == WRITTEN["services"].keys()
    assert topology == parse(TEXT)


def test_every_mistake_is_told_at_once():
    def edit(d: dict[str, Any]) -> None:
        d["services"]["nginx-lb"]["port"] = 0
        d["services"]["redis-cache"]["replicas"] = 0
        d["unknown"] = 1

    with pytest.raises(TopologyError) as caught:
        parse(written(edit))
    assert 3 == len(str(caught.value).splitlines()) == len(caught.value.mistakes)


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
