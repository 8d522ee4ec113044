"""A world's network as items that can be compared and drawn. Pure.

The same kinds of items come from the plan (`declared`) and from the kernel (`observed`). A fact
that only one side knows is no difference: Docker picks names that nobody declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from twinstack.model.topology import WorldName

Kind = Literal["bridge", "replica", "link", "published port", "nat", "flow"]
State = Literal["as declared", "missing", "undeclared", "differs"]

AS_DECLARED: State = "as declared"
MISSING: State = "missing"
UNDECLARED: State = "undeclared"
DIFFERS: State = "differs"
#: In the order of drawing.
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a world's network; kind and name identify it."""

    kind: Kind
    name: str
    facts: Mapping[str, str] = field(default_factory=dict)  # observed; declared where missing
    state: State = AS_DECLARED
    differences: tuple[str, ...] = ()

    def fact(self, key: str) -> str:
        """Give a fact; "" where it is unknown."""
        return self.facts.get(key, "")

    @property
    def problem(self) -> str:
        """Say what is not as declared; "" when all is."""
        return "; ".join(self.differences) or ("" if self.state == AS_DECLARED else self.state)


def item(kind: Kind, name: str, /, **facts: str) -> Item:
    """Make an item."""
    return Item(kind, name, facts)


@dataclass(frozen=True, slots=True)
class WorldTopology:
    """A world's network as it is, compared with its plan."""

    world: WorldName
    shape: str
    enforced: bool  # whether its policy is
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()  # what could not be observed

    def of(self, kind: Kind) -> tuple[Item, ...]:
        """List the items of a kind."""
        return tuple(one for one in self.items if one.kind == kind)

    @property
    def wrong(self) -> tuple[Item, ...]:
        """List what is not as declared."""
        return tuple(one for one in self.items if one.state != AS_DECLARED)


def compare(declared: Iterable[Item], observed: Iterable[Item]) -> tuple[Item, ...]:
    """Compare item by item: the declared ones in their order, then the undeclared ones."""
    undeclared = {(one.kind, one.name): one for one in observed}
    compared = []
    for one in declared:
        other = undeclared.pop((one.kind, one.name), None)
        missing = replace(one, state=MISSING)
        compared.append(missing if other is None else _compared(one, other))
    names = sorted(undeclared, key=lambda key: (KINDS.index(key[0]), key[1]))
    compared += [replace(undeclared[key], state=UNDECLARED) for key in names]
    return tuple(sorted(compared, key=lambda one: KINDS.index(one.kind)))


def _compared(declared: Item, observed: Item) -> Item:
    differences = tuple(
        f"{key} is {observed.facts[key] or 'none'}, declared is {value or 'none'}"
        for key, value in declared.facts.items()
        if observed.facts.get(key, value) != value
    )
    # What only the plan knows (a tier) is worth drawing too.
    facts = dict(sorted({**declared.facts, **observed.facts}.items()))
    state = DIFFERS if differences else AS_DECLARED
    return Item(declared.kind, declared.name, facts, state, differences)


@dataclass(frozen=True, slots=True)
class Topologies:
    """The network of each world that is up."""

    worlds: tuple[WorldTopology, ...]
