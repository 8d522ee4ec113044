"""What the tasks print: states, steps and plans as tables for 80 columns, and as JSON. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from twinstack.reconcile import Preview

if TYPE_CHECKING:
    from twinstack.world import ServiceState


_GAP = "  "


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Align rows under a header; the last column is never padded."""
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(_GAP.join(cells).rstrip())
    return "\n".join(lines)


def states(found: Sequence[ServiceState]) -> str:
    """Write a world's status: service, where, address, state."""
    rows = [
        (
            one.name,
            one.where,
            f"{one.address}:{one.port}",
            one.state + (f" ({one.detail})" if one.detail else ""),
            str(one.restarts) if one.restarts else "",
        )
        for one in found
    ]
    header = ("service", "where", "address", "state", "restarts")
    if not any(row[-1] for row in rows):
        return columns(header[:-1], (row[:-1] for row in rows))
    return columns(header, rows)


def states_json(found: Sequence[ServiceState]) -> list[dict[str, object]]:
    """Give a world's status as JSON's words."""
    return [asdict(one) for one in found]


def preview(found: Preview) -> str:
    """Write what `up` would do: each step, why, and the commands that do the same."""
    lines = list(found.unbuilt)
    if found.changes:
        lines.append(f"{len(found.changes)} steps to do, {found.total} are planned:")
    else:
        lines.append(f"Nothing to do: all {found.total} steps are as planned.")
    for change in found.changes:
        lines.append(f"- {change.step.name}: {change.reason}")
        lines += [f"    {_shortened(command)}" for command in change.step.commands]
    return "\n".join(lines)


def preview_json(found: Preview) -> dict[str, object]:
    """Give what `up` would do as a JSON document."""
    changes = [
        {"step": change.step.name, "reason": change.reason, "commands": list(change.step.commands)}
        for change in found.changes
    ]
    return {"steps": found.total, "changes": changes, "unbuilt": list(found.unbuilt)}


def _shortened(command: str) -> str:
    return command if len(command) < 400 else f"{shlex.split(command)[0]} …"


def differences(found: Preview) -> str:
    """Name what is not as planned, a line each."""
    changes = [f"! {change.step.name} {change.reason}" for change in found.changes]
    return "\n".join([*found.unbuilt, *changes])
