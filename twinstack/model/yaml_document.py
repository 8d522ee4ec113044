"""Read YAML strictly: plain data, each key a text and given once; and where each value is written.

libyaml parses (eight times as fast as Python). What does not keep the reader from going on, such as
a key that is given twice, is listed in `Document.mistakes`; only broken syntax ends the reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from twinstack.model.mistakes import Mistake, ValuePath

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_KINDS = {"null": "nothing", "bool": "true or false", "int": "a number", "float": "a number"}


class NotYaml(Exception):
    """The syntax is broken: what comes after it cannot be read."""

    def __init__(self, problem: str, position: tuple[int, int] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.position = position  # line and column, from 1; None where libyaml names none


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file's data, and where it stands."""

    data: Any
    root: yaml.Node | None  # None: the file is empty
    mistakes: tuple[Mistake, ...] = ()

    def position(self, mistake: Mistake) -> tuple[int, int]:
        """Give the line and column of a mistake, from 1: of a scalar, or of the key above it."""
        if mistake.position:
            return mistake.position
        if self.root is None:
            return 1, 1
        key = value = self.root
        for part in mistake.path:
            child = _child(value, part)
            if child is None:  # what is missing is shown where it should be
                return _position(key)
            key, value = child
        is_shown = isinstance(value, yaml.ScalarNode) and value.value and not mistake.of_key
        return _position(value if is_shown else key)


def read(text: str) -> Document:
    """Read one YAML document. Raises: NotYaml."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            data = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else None
        raise NotYaml(error.problem or str(error), position) from error
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore")
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise NotYaml(str(error.reason), (before.count("\n") + 1, column)) from error
    except RecursionError as error:
        raise NotYaml("it is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise NotYaml("it is no text that can be written as UTF-8") from error
    return Document(data, root, tuple(_located(root, loader.flaws)) if root else ())


@dataclass(frozen=True, slots=True)
class _Flaw:
    """What is wrong with a node, or with a key in it."""

    node: yaml.Node
    key: str | None
    failure: str
    cause: str
    remedy: str
    position: tuple[int, int]
    of_key: bool = True


class _Loader(yaml.CSafeLoader):
    """Build plain data only; note what cannot be built and go on with the next value."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.flaws: list[_Flaw] = []

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except RecursionError:
            raise
        except Exception as error:  # PyYAML lets through what int, float and date raise
            cause = getattr(error, "problem", None) or f"it is no {node.tag.rpartition(':')[2]}"
            cause = str(error) if isinstance(error, ValueError) else cause
            mark = getattr(error, "problem_mark", None) or node.start_mark
            position = (mark.line + 1, mark.column + 1)
            remedy = "correct the value"
            self.flaws.append(_Flaw(node, None, "cannot be read", cause, remedy, position, False))
            value = node.value if isinstance(node, yaml.ScalarNode) else None
            self.constructed_objects[node] = value
            return value

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        """Build a mapping; of a key that is given twice the last one counts."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if key.tag != _TEXT:
                self.flaws.append(_odd_key(node, key))
            elif key.value in lines:
                cause = f"line {lines[key.value]} has it too"
                self.flaws.append(
                    _Flaw(node, key.value, "is given twice", cause, "remove one", _position(key))
                )
            else:
                lines[key.value] = key.start_mark.line + 1
        self.flatten_mapping(node)
        return {
            key.value: self.construct_object(value, deep=True)
            for key, value in node.value
            if key.tag == _TEXT
        }


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _Loader.mapping)


def _odd_key(node: yaml.Node, key: yaml.Node) -> _Flaw:
    if not isinstance(key, yaml.ScalarNode):
        cause, remedy = "a key must be a plain word", "write a word"
        return _Flaw(node, None, "has a key that cannot be one", cause, remedy, _position(key))
    kind = _KINDS.get(key.tag.rpartition(":")[2], "no text")
    cause, remedy = f"YAML reads it as {kind}", "put it in quotes"
    return _Flaw(node, key.value, "cannot be a key", cause, remedy, _position(key))


def _located(root: yaml.Node, flaws: list[_Flaw]) -> Iterator[Mistake]:
    """Give each flaw with the path to its value."""
    if not flaws:
        return
    paths = dict(_paths(root, (), set()))
    for flaw in flaws:
        path = paths.get(id(flaw.node), ())
        path = path if flaw.key is None else (*path, flaw.key)
        yield Mistake(
            path,
            flaw.failure,
            flaw.cause,
            flaw.remedy,
            of_key=flaw.of_key,
            position=flaw.position,
        )


def _paths(node: yaml.Node, path: ValuePath, seen: set[int]) -> Iterator[tuple[int, ValuePath]]:
    """Give each node's path once, though aliases may lead to it in many ways."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield id(node), path
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _paths(value, (*path, str(key.value)), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _paths(value, (*path, index), seen)


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Give the key and the value that a part of a path leads to; an item is its own key."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, value) for key, value in node.value if key.value == part]
        return pairs[-1] if pairs else None
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
