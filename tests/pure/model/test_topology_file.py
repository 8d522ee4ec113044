"""A topology is read whole or refused in clear lines, never by a traceback."""

from __future__ import annotations

import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core_cases import TEXT, WRITTEN
from tests.support.model_cases import mistakes_in
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
    "tab": ("shapes:\n\t- b", ":2:1: is not YAML: found character that cannot start any token"),
    "open bracket": ("shapes: [", ":2:1: is not YAML: did not find expected node content"),
    "no mapping": ("a: b: c", ":1:5: is not YAML: mapping values are not allowed"),
    "unknown alias": ("a: *b", ":1:4: is not YAML: found undefined alias"),
    "two documents": ("a: 1\n---\nb: 2", ":2:1: is not YAML: but found another document"),
    "control character": ("ä: 1\na: ü\0", ":2:5: is not YAML: control characters"),
    "too deep": ("a: " + "[" * 3_000 + "]" * 3_000, ": is not YAML: it is nested too deeply"),
    "half a letter": ("a: \ud800", ": is not YAML: it is no text"),
    "endless": ("&a {services: *a}", ":1:1: cannot be read: found unconstructable recursive"),
    "empty": ("", ": is no topology: it is empty"),
    "only a comment": ("# nothing\n", ": is no topology: it is empty"),
    "a list": ("- a", ": is no topology: it has no keys"),
    "a word": ("hello", ": is no topology: it has no keys"),
}


@pytest.mark.parametrize("name", BROKEN_YAML)
def test_text_that_is_no_topology_is_one_clear_line(name: str):
    text, start = BROKEN_YAML[name]
    (line,) = mistakes_in(text)
    assert line.startswith(f"topology.yml{start}")
    assert "; " in line


def test_a_merge_key_is_yaml_like_any_other():
    parse(
        TEXT.replace(
            "limits: {cpus: 1.0, memory: 64M, pids: 32}",
            "limits: {<<: {cpus: 1.0, memory: 64M}, pids: 32}",
        )
    )


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
    assert str(caught.value).startswith(f"{path}: cannot be read: ")
    assert cause in str(caught.value)
    assert "; " in str(caught.value)


def test_the_committed_topology_is_sound():
    topology = load(ROOT / "topology.yml")
    assert {"flat", "tiered"} == set(topology.shapes)
    assert topology.services.keys() == WRITTEN["services"].keys()
    assert topology == parse(TEXT)


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
        lines, count = str(refused).splitlines(), len(refused.mistakes)
        assert len(lines) == (count if count == 1 else count + 1)
        assert all(re.match(r"topology\.yml(:\d+:\d+)?: ", line) for line in lines)
        return
    for shape in topology.shapes:
        for instance in ("main", "other"):
            try:
                resolve(topology, shape, instance)
            except TwinstackError as error:
                refused = error
    assert refused is None or len(str(refused).splitlines()) == 1
