"""A mistake in a topology: of which value, and which other values make it one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from twinstack.errors import TwinstackError

#: The keys and indices that lead to a value, from the top.
ValuePath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with one value, and what to do."""

    path: ValuePath
    failure: str
    cause: str = ""
    remedy: str = ""
    judged_by: tuple[ValuePath, ...] = ()  # the other values without which it would be none
    of_key: bool = False  # the key itself is wrong, whatever its value
    position: tuple[int, int] | None = None  # line and column, where the path does not lead to it

    @property
    def error(self) -> TwinstackError:
        return TwinstackError(dotted(self.path), self.failure, self.cause, self.remedy)

    def rests_on(self, unusable: Collection[ValuePath]) -> bool:
        """Say whether it is judged by a value that is a mistake itself."""
        values = [*self.judged_by, *(() if self.of_key else (self.path,))]
        return any(_meet(path, bad) for path in values for bad in unusable) or any(
            self.path[: len(bad)] == bad for bad in unusable
        )


def dotted(path: ValuePath) -> str:
    """Write a path as users read it: services.nginx-lb.port."""
    return ".".join(str(part) for part in path)


def nearest(word: object, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Give the known word that is most like another, if one is. Units: likeness from 0 to 1."""
    from difflib import get_close_matches  # loaded only where there is a mistake

    return next(iter(get_close_matches(str(word), list(known), n=1, cutoff=likeness)), None)


def meant(word: object, known: Iterable[str], otherwise: str) -> str:
    """Give the remedy for a word that is not known."""
    close = nearest(word, known)
    return f"did you mean {close}?" if close else otherwise


def _meet(path: ValuePath, other: ValuePath) -> bool:
    """Say whether one value is in the other, or is the other."""
    shared = min(len(path), len(other))
    return path[:shared] == other[:shared]
