"""The gate before a comparison: worlds must be alike but for what is expected, or it is refused.

`require` reads both worlds' fingerprints and names every difference. Those that `expected` gives a
reason for are stated with every result. Any other refuses the comparison, unless it was allowed by
its name; the result's caption names it then. `unchanged` reads again after the run. The comparison
itself is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from textwrap import shorten

from bench.engine import expected, loads
from bench.engine.show import wrap
from twinstack.errors import TwinstackError, WrongUse
from twinstack.observe.fingerprint import read as fingerprint
from twinstack.observe.fingerprint.read import WHOLE, Fingerprint
from twinstack.reconcile import Progress
from twinstack.world import LocalWorld

#: Answers that differ in size by more than this part are different data, not a changed stock.
SIZE_TOLERANCE = 0.01
ABSENT = "absent"
#: Keys that begin so are of the machine, or change with use.
_PASSING = ("host.", "rows.orders", "rows.order_items", "answer.content")
_SHOWN_CHARACTERS = 90


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that differs, of one or more replicas."""

    key: str
    subjects: str  # "" for the world as a whole
    first: str
    second: str
    reason: str = ""  # for which it is expected


@dataclass(frozen=True, slots=True)
class Gate:
    """What was found before a run."""

    fingerprints: tuple[Fingerprint, ...]  # one, where a world is compared with itself
    service: str
    path: str
    stated: tuple[str, ...] = ()  # expected differences, with their reasons
    allowed: tuple[str, ...] = ()  # what was let through by name

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """Give a digest of each value of each world, without those of the machine and the stock."""
        return {
            of.world: {
                key: hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:8]
                for key, values in sorted(of.values.items())
                if not key.startswith(_PASSING)
            }
            for of in self.fingerprints
        }

    @property
    def software(self) -> dict[str, str]:
        """Give the versions and digests of what the first world runs."""
        values, prefix = self.fingerprints[0].values, "software."
        return {key[len(prefix) :]: values[key][WHOLE] for key in values if key.startswith(prefix)}

    def listed(self) -> tuple[str, str]:
        """List what was allowed, and what is stated; each empty when there is nothing."""
        return (
            _listed("Let through by --allow, although NOT ALIKE:", self.allowed),
            _listed("Alike but for:", self.stated),
        )


def _listed(title: str, sentences: Sequence[str]) -> str:
    items = wrap(*(f"- {sentence}" for sentence in sentences), indent="  ")
    return f"{title}\n{items}" if sentences else ""


def require(
    worlds: Sequence[LocalWorld],
    service: str,
    path: str,
    allow: Sequence[str] = (),
    progress: Progress = lambda _line: None,
) -> Gate:
    """Read worlds, entered by a service's own address, and refuse unexpected differences of two.

    One world is compared with itself. `allow`: keys, or the part of keys before a dot.
    Raises: Missing when a world is not up; CannotTell; TwinstackError that names each key.
    """
    progress(f"reading what runs in {' and '.join(world.name for world in worlds)}")
    found = tuple(_read(world, service, path) for world in worlds)
    check_allowed(allow, *found)
    if len(found) == 1:
        return Gate(found, service, path)
    gate = judge(found[0], found[1], service, path, allow)
    for sentence in gate.allowed:
        progress(f"not alike, but allowed: {sentence}")
    return gate


def unchanged(gate: Gate, worlds: Sequence[LocalWorld]) -> tuple[str, ...]:
    """Read again after a run, and say what changed meanwhile, or that a world cannot be read."""
    changes: list[str] = []
    for world, before in zip(worlds, gate.fingerprints, strict=True):
        try:
            found = differences(before, _read(world, gate.service, gate.path))
        except TwinstackError as error:
            changes.append(f"{world.name} cannot be read again: {error}")
            continue
        said = sentences(found, ("before", "after"))
        changes += [f"{world.name} CHANGED meanwhile: {sentence}" for sentence in said]
    return tuple(changes)


def _read(world: LocalWorld, service: str, path: str) -> Fingerprint:
    return fingerprint.read(world, lambda: loads.get_ok(world.endpoint(service), path))


def judge(
    first: Fingerprint, second: Fingerprint, service: str, path: str, allow: Sequence[str] = ()
) -> Gate:
    """Sort the differences; pure. Raises: TwinstackError unless all are expected or allowed."""
    names = (first.world, second.world)
    stated, allowed, refused = list[Mismatch](), list[Mismatch](), list[Mismatch]()
    for difference in differences(first, second):
        values = dict(zip(names, (difference.first, difference.second), strict=True))
        if because := expected.reason(difference.key, values):
            stated.append(replace(difference, reason=because))
        else:
            (allowed if _is_allowed(difference.key, allow) else refused).append(difference)
    if refused:
        keys = dict.fromkeys(f"--allow {difference.key}" for difference in refused)
        raise TwinstackError(
            f"{first.world} and {second.world}",
            "are not alike",
            " | ".join(sentences(refused, names)),
            "bring both up from one topology in one shape and policy, or measure all the same with "
            + " ".join(keys),
        )
    in_kind = expected.IN_KIND if set(names) == {"net", "docker"} else ()
    said = (*sentences(stated, names), *in_kind)
    return Gate((first, second), service, path, said, sentences(allowed, names))


def sentences(found: Iterable[Mismatch], names: Sequence[str]) -> tuple[str, ...]:
    """Say differences with the names of what was compared, keys that differ alike in one; pure."""
    keys: dict[Mismatch, list[str]] = {}
    for difference in found:
        keys.setdefault(replace(difference, key=""), []).append(difference.key)
    return tuple(
        f"{', '.join(each)}{f' of {alike.subjects}' if alike.subjects else ''}: "
        f"{names[0]} {_shown(alike.first)}, {names[1]} {_shown(alike.second)}"
        f"{f' ({alike.reason})' if alike.reason else ''}"
        for alike, each in keys.items()
    )


def _shown(value: str) -> str:
    return shorten(value, _SHOWN_CHARACTERS, placeholder=" …") or "empty"


def check_allowed(allow: Sequence[str], *fingerprints: Fingerprint) -> None:
    """Refuse a name that is no key; pure. Raises: TwinstackError."""
    keys = {key for fingerprint in fingerprints for key in fingerprint.values}
    for name in allow:
        if not any(_is_allowed(key, [name]) for key in keys):
            cause = "no value of a fingerprint has that name"
            remedy = "use the names that the refusal shows"
            raise WrongUse(f"--allow {name}", "cannot be", cause, remedy)


def differences(first: Fingerprint, second: Fingerprint) -> Iterator[Mismatch]:
    """Name every difference; what is the same in many replicas is said once; pure."""
    for key in dict.fromkeys((*first.values, *second.values)):
        lefts, rights = first.values.get(key, {}), second.values.get(key, {})
        subjects = dict.fromkeys((*lefts, *rights))
        groups: dict[tuple[str, str], list[str]] = {}
        for subject in subjects:
            left, right = lefts.get(subject, ABSENT), rights.get(subject, ABSENT)
            if not _alike(key, left, right):
                groups.setdefault(_only_words(left, right), []).append(subject)
        for (left, right), differing in groups.items():
            everywhere = len(differing) == len(subjects) > 1
            named = "every replica" if everywhere else ", ".join(differing)
            yield Mismatch(key, named, left, right)


def _alike(key: str, first: str, second: str) -> bool:
    if key == "answer.bytes" and ABSENT not in {first, second}:
        sizes = (int(first), int(second))
        return abs(sizes[0] - sizes[1]) <= SIZE_TOLERANCE * max(sizes)
    return first == second


def _only_words(first: str, second: str) -> tuple[str, str]:
    """Give the words that only one of two values has; both values where the words are equal."""
    firsts, seconds = first.split(), second.split()
    only = (
        " ".join(word for word in firsts if word not in seconds),
        " ".join(word for word in seconds if word not in firsts),
    )
    return (only[0] or "nothing more", only[1] or "nothing more") if any(only) else (first, second)


def _is_allowed(key: str, allow: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in allow)
