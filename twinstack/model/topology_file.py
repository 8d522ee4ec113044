"""Read topology.yml: YAML, then the form of each value, then the values against each other.

All mistakes of a file are found at once, in the order of their lines. What rests on a value that is
a mistake itself is left out, so that one mistake is one line.
"""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

from pydantic import ValidationError

from twinstack.errors import TopologyError, TwinstackError
from twinstack.model import applications, checks, yaml_document
from twinstack.model.mistakes import Mistake, ValuePath
from twinstack.model.topology import Topology
from twinstack.model.yaml_document import Document, NotYaml


def load(path: Path, services: Path = applications.SERVICES) -> Topology:
    """Read and check a topology file, also against the applications in `services`.

    Raises: TopologyError, one line a mistake.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
        remedy = "name another by TWINSTACK_TOPOLOGY, or restore topology.yml from git"
        mistake = TwinstackError("", "cannot be read", cause, remedy)
        raise TopologyError(_shown(path), [mistake]) from error
    return parse(text, _shown(path), services)


def parse(text: str, file: str = "topology.yml", services: Path | None = None) -> Topology:
    """Check a topology given as YAML text; without `services` against itself alone.

    Raises: TopologyError, one line a mistake.
    """
    try:
        document = yaml_document.read(text)
    except NotYaml as error:
        mistake = TwinstackError("", "is not YAML", error.problem, "correct the line and try again")
        raise TopologyError(file, [mistake], [_place(error.position)]) from error
    if not isinstance(document.data, dict) and not document.mistakes:
        cause = "it is empty" if document.data is None else "it has no keys"
        remedy = "begin with the keys shapes: and services:"
        raise TopologyError(file, [TwinstackError("", "is no topology", cause, remedy)])
    topology, found, unusable = _form(document)
    if topology is not None:
        found += checks.mistakes(topology, unusable)
        if services is not None:
            modules = applications.mistakes(topology, services)
            found += [mistake for mistake in modules if not mistake.rests_on(unusable)]
    if topology is None or found:
        placed = sorted([(document.position(each), each) for each in found], key=itemgetter(0))
        places = [_place(position) for position, _ in placed]
        raise TopologyError(file, [mistake.error for _, mistake in placed], places)
    return topology


def _form(document: Document) -> tuple[Topology | None, list[Mistake], frozenset[ValuePath]]:
    """Give the topology, if there is enough of one, with its mistakes and where stand-ins are."""
    found = list(document.mistakes)
    unread = frozenset(mistake.path for mistake in found if not mistake.of_key)
    try:
        return Topology.model_validate(document.data), found, unread
    except ValidationError as error:
        from twinstack.model import form  # with the schema, which no valid file needs

        reported = form.mistakes(error)
        topology, replaced = form.mended(document.data, reported)
        found += [each for each in reported if not any(_is_in(each.path, bad) for bad in unread)]
        return topology, found, unread | replaced


def _is_in(path: ValuePath, other: ValuePath) -> bool:
    return path[: len(other)] == other


def _place(position: tuple[int, int] | None) -> str:
    return "{}:{}".format(*position) if position else ""


def _shown(path: Path) -> str:
    """Give a path as it is reached from here, so that editors open it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
