"""The rules of a policy for a reader: each with the sentence that it comes from. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from twinstack.linux.iptables import target
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.policy.chains import chains
from twinstack.policy.permissions import permissions

_WIDTH = 78
_UNENFORCED = (
    "The flows are declared and not enforced: the world was brought up with --no-policy. "
    "Everybody reaches everybody."
)


@dataclass(frozen=True, slots=True)
class Shown:
    """The same twice: for a person, and as JSON's words."""

    text: str
    document: dict[str, object]


def shown(plan: Plan, world: WorldName) -> Shown:
    """Lay out permissions and chains of a plan in a world."""
    open_ = permissions(plan, world)
    found = chains(plan, world) if plan.policy else ()
    lines = ["Everything is denied but this:"] if plan.policy else [textwrap.fill(_UNENFORCED, 78)]
    lines += [f"  {one.sentence}" for one in open_]
    for chain in found:
        lines.append(f"\n{chain.name}" + (f" (from {chain.builtin})" if chain.builtin else ""))
        for rule in chain.rules:
            match = _brief(rule.text)
            lines += textwrap.wrap(
                rule.sentence, _WIDTH, initial_indent="  # ", subsequent_indent="  # "
            )
            lines.append(f"  {match}")
    rules = [
        {"chain": chain.name, "rule": f"-A {chain.name} {rule.text}", "sentence": rule.sentence}
        for chain in found
        for rule in chain.rules
    ]
    document: dict[str, object] = {
        "world": world,
        "shape": plan.shape,
        "enforced": plan.policy,
        "permissions": [
            {
                "source": one.source,
                "destination": one.destination,
                "protocol": one.protocol,
                "port": one.port,
                "sentence": one.sentence,
            }
            for one in open_
        ],
        "rules": rules,
    }
    return Shown("\n".join(lines), document)


def _brief(text: str) -> str:
    """Leave the comment out: the sentence says it."""
    match = text.partition("-m comment")[0].strip()
    rest = text.partition(" -j ")[2] or target(text)
    return f"{match} -j {rest}".strip()
