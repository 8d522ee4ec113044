"""What `invoke --list` shows, and what tasks were called until the last release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

#: A task's earlier name, which goes with the next release, and the words that it is now.
RENAMED = {
    "bench.crossing": ("bench.hosts",),
    "bench.turns": ("bench", "--published", "--minutes", "15"),
    "check.residue": ("check.leftovers",),
    "swarm.lose": ("chaos", "--what", "swarm-node", "--host"),
}
#: Not for every day; `invoke --list check` lists them.
_LONG = "check."
_LONG_TOGETHER = ("check.*", "The long checks, a promise each: invoke --list check.")

Row = tuple[str, str | None]


def present(words: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Replace earlier names of tasks in a command line by the present ones, and say so."""
    now: list[str] = []
    for word in words:
        if word in RENAMED:
            say(f"{word} is called {' '.join(RENAMED[word])} now")
        now += RENAMED.get(word, (word,))
    return now


def everyday(rows: Iterable[Row]) -> list[Row]:
    """Leave the long checks out of a list, and "bench.bench (bench)" be "bench"; pure."""
    shown: list[Row] = []
    for name, says in rows:
        if not name.startswith(_LONG):
            _, found, only = name.partition(" (")
            shown.append((only.rstrip(")") if found else name, says))
        elif _LONG_TOGETHER not in shown:
            shown.append(_LONG_TOGETHER)
    return shown
