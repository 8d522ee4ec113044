"""What a world is made of, as items that can be compared and drawn; pure.

The same kinds of items come from the plan (`declared`) and from the kernel (`observed`). What is
said of an item on one side only is no difference: Docker picks names that nobody declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from twinstack.model.topology import WorldName

Kind = Literal["bridge", "place", "link", "door", "nat", "flow"]
State = Literal["as declared", "missing", "undeclared", "differs"]

AS_DECLARED: State = "as declared"
MISSING: State = "missing"
UNDECLARED: State = "undeclared"
DIFFERS: State = "differs"
#: In the order of drawing.
KINDS: tuple[Kind, ...] = ("bridge", "place", "link", "door", "nat", "flow")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: `name` tells it from others of its kind; `facts` say what it is like."""

    kind: Kind
    name: str
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Seen:
    """An item as it is, and how that agrees with what was declared.

    `facts` are the observed ones, the declared where it is missing. `differences` are in words.
    """

    kind: Kind
    name: str
    state: State
    facts: Mapping[str, str]
    differences: tuple[str, ...] = ()

    def fact(self, key: str) -> str:
        """Give a fact; empty where nothing is known of it."""
        return self.facts.get(key, "")

    @property
    def right(self) -> bool:
        return self.state == AS_DECLARED


@dataclass(frozen=True, slots=True)
class Scene:
    """One world as it is. `enforced`: its flows are; `notes` say what could not be told."""

    world: WorldName
    shape: str
    enforced: bool
    items: tuple[Seen, ...]
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind) -> tuple[Seen, ...]:
        """List the items of a kind."""
        return tuple(one for one in self.items if one.kind == kind)

    @property
    def wrong(self) -> tuple[Seen, ...]:
        """List what is not as declared."""
        return tuple(one for one in self.items if not one.right)


def compare(declared: Iterable[Item], observed: Iterable[Item]) -> tuple[Seen, ...]:
    """Put both side by side: the declared ones in their order, then what nobody declared."""
    there = {(one.kind, one.name): one for one in observed}
    found: list[Seen] = []
    known = set()
    for one in declared:
        known.add((one.kind, one.name))
        other = there.get((one.kind, one.name))
        if other is None:
            found.append(Seen(one.kind, one.name, MISSING, one.facts))
            continue
        differences = tuple(
            f"{key} is {other.facts[key] or 'none'}, declared is {value or 'none'}"
            for key, value in one.facts.items()
            if key in other.facts and other.facts[key] != value
        )
        state = DIFFERS if differences else AS_DECLARED
        # What only the plan says (a tier) is worth showing too.
        found.append(Seen(one.kind, one.name, state, {**one.facts, **other.facts}, differences))
    strange = sorted((KINDS.index(kind), name) for kind, name in there if (kind, name) not in known)
    for place, name in strange:
        one = there[KINDS[place], name]
        found.append(Seen(one.kind, name, UNDECLARED, one.facts))
    return tuple(sorted(found, key=lambda one: KINDS.index(one.kind)))


def document(scenes: Sequence[Scene]) -> dict[str, object]:
    """Give scenes as JSON's words, in an order that stays."""
    return {
        "worlds": [
            {
                "world": scene.world,
                "shape": scene.shape,
                "as_declared": not scene.wrong,
                "enforced": scene.enforced,
                "items": [
                    {
                        "kind": one.kind,
                        "name": one.name,
                        "state": one.state,
                        "facts": dict(sorted(one.facts.items())),
                        "differences": list(one.differences),
                    }
                    for one in scene.items
                ],
                "notes": list(scene.notes),
            }
            for scene in scenes
        ]
    }
