"""YAML is read strictly, to its end, and each mistake is where it stands."""

from __future__ import annotations

import pytest

from tests.support.core_cases import TEXT
from tests.support.model_cases import mistakes_in, place
from twinstack.model.mistakes import Mistake
from twinstack.model.yaml_document import read

WORDS = """\
services:
  web:
    port: 80
    empty:
    flows: [{to: a}, b]
    more:
      - one
"""
#: A path, and the line and column that a mistake at its value, or at its key, has.
PLACES = {
    ("services",): ((1, 1), (1, 1)),
    ("services", "web"): ((2, 3), (2, 3)),
    ("services", "web", "port"): ((3, 11), (3, 5)),
    ("services", "web", "empty"): ((4, 5), (4, 5)),
    ("services", "web", "flows"): ((5, 5), (5, 5)),
    ("services", "web", "flows", 0): ((5, 13), (5, 13)),
    ("services", "web", "flows", 0, "to"): ((5, 18), (5, 14)),
    ("services", "web", "flows", 1): ((5, 22), (5, 22)),
    ("services", "web", "more", 0): ((7, 9), (7, 9)),
    ("services", "web", "absent"): ((2, 3), (2, 3)),
    ("services", "web", "absent", "deeper"): ((2, 3), (2, 3)),
    ("absent",): ((1, 1), (1, 1)),
}


@pytest.mark.parametrize("path", PLACES)
def test_a_mistake_is_at_its_scalar_or_else_at_its_key(path: tuple[str | int, ...]):
    document = read(WORDS)
    of_value, of_key = (document.position(Mistake(path, "x", of_key=key)) for key in (False, True))
    assert (of_value, of_key) == PLACES[path]


def test_of_a_key_given_twice_the_last_value_counts():
    document = read("a: 1\nb: 2\na: 3\n")
    assert document.data == {"a": 3, "b": 2}
    (twice,) = document.mistakes
    assert (twice.path, document.position(twice)) == (("a",), (3, 1))


def test_aliases_are_read_once_however_often_they_are_used():
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)
    )
    (twice,) = read(f"{bomb}a0: 1\n").mistakes
    assert twice.path == ("a0",)


PORT = "services.nginx-lb.port"
#: What is written for the port of the first service, and what is said of it.
UNBUILT = {
    "a month 99": ("2001-99-99", "month must be in 1..12"),
    "an endless number": ("9" * 5000, "Exceeds the limit"),
    "a number without digits": ("0b_", "invalid literal"),
    "a word as a number": ("!!int abc", "invalid literal"),
    "a word as a fraction": ("!!float x", "could not convert"),
    "a word as a truth": ("!!bool x", "it is no bool"),
    "a word as a date": ("!!timestamp x", "it is no timestamp"),
    "an unknown tag": ("!x 1", "could not determine a constructor for the tag '!x'"),
    "an object of Python": ("!!python/object/apply:os.system [id]", "could not determine"),
}


@pytest.mark.parametrize("name", UNBUILT)
def test_a_value_that_yaml_cannot_build_is_one_mistake_among_others(name: str):
    value, cause = UNBUILT[name]
    text = TEXT.replace("port: 80\n", f"port: {value}\n", 1).replace("port: 5432", "port: 0")
    unbuilt, other = mistakes_in(text)
    assert unbuilt.startswith(
        f"topology.yml:{place(TEXT, 'port: 80', 6)}: {PORT}: cannot be read: "
    )
    assert cause in unbuilt
    assert "services.postgres-db.port: cannot be 0: it is 1 to 65535" in other


PORT_LINE = int(place(TEXT, "port: 80").partition(":")[0])
ODD_KEYS = {
    "true": "services.nginx-lb.true: cannot be a key: YAML reads it as true or false",
    "80": "services.nginx-lb.80: cannot be a key: YAML reads it as a number",
    "~": "services.nginx-lb.~: cannot be a key: YAML reads it as nothing",
    "2001-01-01": "services.nginx-lb.2001-01-01: cannot be a key: YAML reads it as no text",
    "[a]": "services.nginx-lb: has a key that cannot be one: a key must be a plain word",
    "? !!set {a: null}\n    ": "services.nginx-lb: has a key that cannot be one",
    "portt": "services.nginx-lb.portt: is not a known key; did you mean port?",
    "zzz": "services.nginx-lb.zzz: is not a known key; known are runtime, tier",
    "port": f"{PORT}: is given twice: line {PORT_LINE} has it too; remove one",
}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_that_cannot_be_is_one_mistake_where_it_stands(key: str):
    (line,) = mistakes_in(TEXT.replace("    port: 80\n", f"    port: 80\n    {key}: 80\n", 1))
    assert line.startswith(
        f"topology.yml:{PORT_LINE + 1}:{7 if key[0] == '?' else 5}: {ODD_KEYS[key]}"
    )
