"""Tables that fit a terminal: states, previews. Pure."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from twinstack.errors import NOT_SO, NOTHING
from twinstack.printable import counted
from twinstack.reconcile import Preview

if TYPE_CHECKING:
    from twinstack.world import ServiceState


#: A column is not wrapped into fewer columns of the terminal.
_LEAST_WRAPPED = 16
#: What a cell that is one of these words is coloured: SGR 32 is green, 33 yellow, 31 red.
_COLOURS = {
    32: "healthy up ok pass yes allowed",
    33: "starting degraded warn unknown exception",
    31: "unhealthy stopped absent down exited fail no dropped",
}
_CELLS = {word: code for code, words in _COLOURS.items() for word in words.split()}
_CELL = re.compile(rf"(?:(?<=^)|(?<=  ))(?:{'|'.join(_CELLS)})(?=  | \(|$)", re.MULTILINE)


def coloured(text: str) -> str:
    """Colour those cells of tables that say how something is; pure."""
    return _CELL.sub(lambda cell: f"\x1b[{_CELLS[cell[0]]}m{cell[0]}\x1b[0m", text)


def columns(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int | None = None,
    keep: Sequence[str] = (),
) -> str:
    """Align rows under a header; the last column is never padded. Units: columns of the terminal.

    A table wider than `width` loses columns from its right end, but those to `keep` (the first and
    the last, unless it is said), and says which; then its last column is wrapped. No name is cut.
    """
    table = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(header))]
    kept = list(range(len(header)))
    spared = set(keep or (header[0], header[-1]))
    hidden: list[str] = []
    if width is not None:
        for index in reversed(range(1, len(header))):
            if _least(widths, kept) > width and header[index] not in spared:
                kept.remove(index)
                hidden.insert(0, header[index])
    *padded, last = kept
    lines = []
    for row in table:
        left = "".join(f"{row[index]:<{widths[index]}}  " for index in padded)
        room = None if width is None else width - len(left)
        lines += _beside(left, row[last], room)
    return "\n".join([*lines, *_hidden(hidden)])


def _least(widths: Sequence[int], kept: Sequence[int]) -> int:
    """Give how narrow columns can be: all but the last as wide as they are."""
    *padded, last = kept
    return sum(widths[index] + 2 for index in padded) + min(widths[last], _LEAST_WRAPPED)


def _beside(left: str, cell: str, room: int | None) -> list[str]:
    """Put a cell beside what is left of it, in as many lines as it takes."""
    parts = [cell]
    if room is not None and len(cell) > room:
        room = max(room, _LEAST_WRAPPED)
        parts = textwrap.wrap(cell, room, break_long_words=False, break_on_hyphens=False) or [cell]
    first, *more = parts
    return [f"{left}{first}".rstrip(), *(" " * len(left) + part for part in more)]


def _hidden(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [f"not shown: {', '.join(names)}; a wider terminal or --json shows all"]


def states(replicas: Sequence[ServiceState], width: int | None = None) -> str:
    """Format a world's status: service, where, address, state; restarts and versions if any."""
    table = {
        "service": [replica.name for replica in replicas],
        "where": [replica.where for replica in replicas],
        "address": [f"{replica.address}:{replica.port}" for replica in replicas],
        "state": [
            replica.state + (f" ({replica.detail})" if replica.detail else "")
            for replica in replicas
        ],
    }
    more = {
        "restarts": [str(replica.restarts or "") for replica in replicas],
        "version": [replica.version for replica in replicas],
    }
    table |= {name: cells for name, cells in more.items() if any(cells)}
    rows = zip(*table.values(), strict=True)
    return columns(tuple(table), rows, width, keep=("service", "state"))


def exit_code(replicas: Sequence[ServiceState], *, sound: bool = True) -> int:
    """Give a status task's exit code; `sound` tells of what is there beside the replicas."""
    if all(replica.state == "absent" for replica in replicas):
        return NOTHING
    return 0 if sound and all_healthy(replicas) else NOT_SO


def all_healthy(replicas: Sequence[ServiceState]) -> bool:
    """Tell whether every replica is healthy."""
    return all(replica.state == "healthy" for replica in replicas)


def preview(pending: Preview) -> str:
    """Format what `up` would do: each step, why, and the commands that do the same."""
    lines = list(pending.unbuilt)
    if pending.changes:
        lines.append(f"{counted(len(pending.changes), 'step')} to do, {pending.total} planned:")
    else:
        lines.append(f"Nothing to do: all {pending.total} steps are as planned.")
    lines += [f"! up would refuse: {line}" for line in pending.refused.splitlines()]
    for change in pending.changes:
        lines.append(f"- {change.step.name}: {change.reason}")
        lines += [f"    {_shortened(command)}" for command in change.step.commands]
    return "\n".join(lines)


def _shortened(command: str) -> str:
    return command if len(command) < 400 else f"{shlex.split(command)[0]} …"


def differences(pending: Preview) -> str:
    """List what is not as planned, a line each."""
    changes = [f"! {change.step.name} {change.reason}" for change in pending.changes]
    return "\n".join([*pending.unbuilt, *changes])
