"""Read topology.yml: YAML, then the form of each value, then the values against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from twinstack.errors import TopologyError, TwinstackError
from twinstack.model import checks
from twinstack.model.topology import Topology


class _StrictLoader(yaml.CSafeLoader):
    """YAML by libyaml (eight times as fast), in which a key given twice is a mistake."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)
        problem = None
        if isinstance(key, (dict, list)):
            problem = "a key must be a plain word"
        elif key in seen:
            problem = f"the key {key!r} is given twice"
        if problem:
            raise yaml.constructor.ConstructorError(
                problem=problem, problem_mark=key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: Path) -> Topology:
    """Read and check a topology file. Raises: TopologyError, one line a mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
        remedy = "name another by TWINSTACK_TOPOLOGY, or restore topology.yml from git"
        mistake = TwinstackError("file", "cannot be read", cause, remedy)
        raise TopologyError(path.name, [mistake]) from error
    return parse(text, path.name)


def parse(text: str, file: str = "topology.yml") -> Topology:
    """Check a topology given as YAML text. Raises: TopologyError, one line a mistake."""
    try:
        written = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader: it builds plain data only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark is not None else "file"
        cause = getattr(error, "problem", None) or str(error)
        mistake = TwinstackError(where, "is not YAML", cause, "correct the line and try again")
        raise TopologyError(file, [mistake]) from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        # PyYAML lets through what its own constructors raise: a month 99, an endless number.
        cause = str(error) or type(error).__name__
        mistake = TwinstackError("file", "is not YAML", cause, "correct the value and try again")
        raise TopologyError(file, [mistake]) from error
    if not isinstance(written, dict):
        cause = "it is empty" if written is None else f"it holds a {type(written).__name__}"
        remedy = "begin with the keys shapes: and services:"
        raise TopologyError(file, [TwinstackError("file", "is no topology", cause, remedy)])
    try:
        topology = Topology.model_validate(written)
    except ValidationError as error:
        mistakes = [checks.form_mistake(dict(report)) for report in error.errors()]
        raise TopologyError(file, mistakes) from error
    if mistakes := checks.mistakes(topology):
        raise TopologyError(file, mistakes)
    return topology
