"""The JSON Schema of topology.yml, made from the classes that read it. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any

from twinstack.model.mistakes import ValuePath
from twinstack.model.topology import Topology

Schema = dict[str, Any]


@cache
def topology_schema() -> Schema:
    """Give the whole. Source: JSON Schema 2020-12."""
    made = Topology.model_json_schema()
    _tidy(made)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "topology.yml"}
    return head | made


def part(path: ValuePath) -> Schema:
    """Give the part that is about one value; empty where the schema knows none."""
    found = _resolved(topology_schema())
    for key in path:
        inner = found.get("properties", {}).get(key) or found.get("additionalProperties")
        found = _resolved(inner or found.get("items") or {})
    return found


def example(schema: Schema) -> Any:
    """Give a value of a kind: its first example, or a mapping of what is required; or None."""
    if "examples" in schema:
        return schema["examples"][0]
    if "properties" not in schema:
        return None
    made = {
        key: example(_resolved(schema["properties"][key])) for key in schema.get("required", ())
    }
    return None if None in made.values() else made


def _resolved(schema: Schema) -> Schema:
    """Follow a reference, and out of a choice take what is not null."""
    if "anyOf" in schema:
        return _resolved(schema["anyOf"][0]) | {
            key: value for key, value in schema.items() if key != "anyOf"
        }
    if "$ref" in schema:
        referred = topology_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
        return dict(referred) | {key: value for key, value in schema.items() if key != "$ref"}
    return schema


def _tidy(schema: Any) -> None:
    """Drop titles that repeat keys; let a mapping's keys be those of its pattern alone."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("title"), str):
        del schema["title"]
    if "patternProperties" in schema:
        ((pattern, value),) = schema.pop("patternProperties").items()
        schema |= {"additionalProperties": value, "propertyNames": {"pattern": pattern}}
    for value in schema.values():
        _tidy(value)
