"""Mistakes in the form of single values: pydantic's reports in our words. Pure.

`mended` then gives the topology without them, so that the rest of the file is checked all the same.
Loaded only where there is a mistake.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from twinstack.model import schema
from twinstack.model.mistakes import Mistake, ValuePath, meant, nearest
from twinstack.model.topology import Topology

#: What pydantic says of a value of another kind than a mapping or a list, in YAML's words.
_KINDS = {
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "string_type": "a text: put it in quotes",
}
_BOUNDS = {"greater_than_equal", "less_than_equal", "finite_number"}
_SHOWN_MAX = 60


def mistakes(error: ValidationError) -> list[Mistake]:
    """Put pydantic's reports into our form; a misspelt key is not missing besides."""
    found: list[Mistake] = []
    reports = [dict(report) for report in error.errors()]
    misspelt = {_meant(_path(each)) for each in reports if each["type"] == "extra_forbidden"}
    for report in reports:
        path = _path(report)
        if report["type"] != "missing" or path not in misspelt:
            found.append(_mistake(report, path))
    return found


def mended(
    written: Mapping[str, Any], found: Sequence[Mistake]
) -> tuple[Topology | None, frozenset[ValuePath]]:
    """Give the topology with stand-ins for mistaken values, and which these are.

    Gives None where a stand-in cannot be had: the rest has nothing to be checked against.
    """
    document = copy.deepcopy(written)
    misspelt = [meant_path for each in found if (meant_path := _meant(each.path))]
    absent = [path for path in misspelt if _value_at(document, path) is None]
    replaced = set()
    for path in (*(mistake.path for mistake in found), *absent):
        place = _stand_in(document, path)
        if place is None:
            return None, frozenset()
        replaced |= {place, path}
    try:
        return Topology.model_validate(document), frozenset(replaced)
    except ValidationError:
        return None, frozenset()


def _path(report: Mapping[str, Any]) -> ValuePath:
    return tuple(part for part in report["loc"] if part != "[key]")


def _mistake(report: Mapping[str, Any], path: ValuePath) -> Mistake:
    kind, context = report["type"], report.get("ctx", {})
    about = schema.part(path)
    if kind == "extra_forbidden":
        known = schema.part(path[:-1])["properties"]
        remedy = meant(path[-1], known, f"known are {', '.join(known)}")
        return Mistake(path, "is not a known key", "", remedy, of_key=True)
    if kind == "missing":
        return Mistake(path, "is missing", "", "add it")
    if report["loc"][-1:] == ("[key]",):
        cause = f"it is {context.get('expected', report['msg'])}"
        return Mistake(path, "cannot be named so", cause, "choose another", of_key=True)
    if kind in {"too_short", "too_long"}:
        failure = f"cannot have {context['actual_length'] or 'no'} entries"
        short = kind == "too_short"
        bound = f"least {context['min_length']}" if short else f"most {context['max_length']}"
        cause = f"it has at {bound}"
        return Mistake(path, failure, cause, "declare others")
    failure, remedy = f"cannot be {_shown(report['input'])}", "choose another"
    if kind == "value_error":
        return Mistake(path, failure, str(context["error"]), remedy)
    if kind in _BOUNDS and {"minimum", "maximum"} <= about.keys():
        cause = f"it is {about['minimum']} to {about['maximum']}"
    elif kind == "literal_error":
        cause = f"it is {context['expected']}"
        remedy = meant(report["input"], about.get("enum", ()), remedy)
    else:
        message = f"it must be {_KINDS[kind]}" if kind in _KINDS else report["msg"]
        cause, remedy = message.replace("Input should", "it should"), "correct it"
    return Mistake(path, failure, cause, remedy)


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, (dict, list)):
        return f"a {'mapping' if isinstance(value, dict) else 'list'}"
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def _meant(path: ValuePath) -> ValuePath | None:
    """Give the key that an unknown one is a misspelling of, if it is."""
    known = schema.part(path[:-1]).get("properties", {})
    close = None if path[-1] in known else nearest(path[-1], known)
    return None if close is None else (*path[:-1], close)


def _stand_in(document: Any, path: ValuePath) -> ValuePath | None:
    """Replace a value, or the nearest around it that can be replaced; gives which."""
    for end in range(len(path), 0, -1):
        place, key = path[:end], path[end - 1]
        around, about = _value_at(document, path[: end - 1]), schema.part(path[: end - 1])
        if isinstance(around, dict) and "properties" in about:
            if key not in about.get("required", ()):
                around.pop(key, None)
                return place
        elif not (
            isinstance(around, dict) or (isinstance(around, list) and key in range(len(around)))
        ):
            continue
        value = schema.example(schema.part(place))
        if value is not None and around is not None:
            around[key] = copy.deepcopy(value)
            return place
    return None


def _value_at(document: Any, path: ValuePath) -> Any:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document
