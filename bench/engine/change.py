"""What changed from one kept result to another; pure.

Rates and times of two runs are never compared: the machine was another one, or in another mood.
Ratios are. On one machine a change is a difference of ratios, and of the ledger's microseconds; on
two machines a ratio of ratios. Results of unlike questions, loads, windows or worlds are refused.

An interval of the difference of two independent estimates follows from theirs.
Source: Zou & Donner, Statist. Med. 27, 2008 (MOVER); ratios: Donner & Zou, SMMR 21, 2012.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.engine.kept import Kept
from bench.engine.show import columns, wrap, written
from bench.engine.store import SCHEMA
from twinstack.errors import CannotTell, TwinstackError
from twinstack.statistics.estimate import Interval

_MACHINE = ("cpu", "cores", "memory_bytes")
#: Where one of these differs, the results are not of the same thing.
_LIKE = ("load", "quantities", "not_alike", "fingerprint")
_WORLDS = ("shape", "policy", "limits", "software")
#: What may differ, as it may be what the comparison is about: it is named.
_STATED = ("kernel", "os", "docker", "ab", "mitigations", "topology_digest", "revision")


def changed(first: Interval, second: Interval) -> Interval:
    """Give second − first with its interval, from both intervals."""
    estimate = second.estimate - first.estimate
    below = math.hypot(second.estimate - second.low, first.high - first.estimate)
    above = math.hypot(second.high - second.estimate, first.estimate - first.low)
    return Interval(estimate, estimate - below, estimate + above)


@dataclass(frozen=True, slots=True)
class ResultChange:
    """What changed from one kept result to another."""

    first: str
    second: str
    machines: tuple[str, ...]
    same_machine: bool
    measure: str
    allowed: tuple[str, ...]  # keys that are unlike, and may be
    differs: Mapping[str, list[Any]]  # what else was not the same: before and after
    sentence: str
    contrasts: Sequence[Mapping[str, Any]]  # of each quantity; the ledger's µs on one machine


def compare(first: Kept, second: Kept, allow: Sequence[str] = ()) -> ResultChange:
    """Say what changed from the first result to the second.

    `allow`: keys that may be unlike, or beginnings of them. Raises: CannotTell for a result without
    intervals; TwinstackError when they are unlike.
    """
    for kept in (first, second):
        if kept.schema < SCHEMA or not kept.document.get("contrasts"):
            older = f"it is of schema {kept.schema}, older than {SCHEMA}"
            cause = older if kept.schema < SCHEMA else "it has no intervals"
            raise CannotTell(kept.stem, "cannot be compared", cause, "measure it again")
    keys = list(unlike(first, second))
    if refused := [key for key in keys if not key.startswith(tuple(allow) or ("\0",))]:
        cause = f"they differ in {', '.join(refused)}"
        remedy = "compare results of one question, load and kind of world, or --allow KEY"
        raise TwinstackError(f"{first.stem} and {second.stem}", "are unlike", cause, remedy)
    before, after = first.environment, second.environment
    same = all(before.get(key) == after.get(key) for key in _MACHINE)
    ends = {_key(contrast): contrast for contrast in second.document["contrasts"]}
    contrasts = [
        _change(contrast, ends[_key(contrast)], same=same)
        for contrast in first.document["contrasts"]
        if _key(contrast) in ends
    ]
    stated = {key: [before.get(key), after.get(key)] for key in _STATED}
    return ResultChange(
        first.stem,
        second.stem,
        machines=tuple(dict.fromkeys((first.machine, second.machine))),
        same_machine=same,
        measure="difference of ratios" if same else "ratio of ratios",
        allowed=tuple(keys),
        differs={key: values for key, values in stated.items() if values[0] != values[1]},
        sentence=_sentence(first.document["quantities"][0], contrasts[0], same=same),
        contrasts=contrasts,
    )


def unlike(first: Kept, second: Kept) -> Iterator[str]:
    """Name the keys by which two results are not of the same thing."""
    one, other = first.document, second.document
    if one["name"] != other["name"] or _key(one["contrasts"][0]) != _key(other["contrasts"][0]):
        yield "name" if one["name"] != other["name"] else "contrasts"
        return
    for key in _LIKE:
        yield from _differing(one.get(key), other.get(key), key)
    yield from _differing(one["design"]["seconds"], other["design"]["seconds"], "design.seconds")
    for key in _WORLDS:
        yield from _differing(first.environment.get(key), second.environment.get(key), key)


def _differing(one: object, other: object, key: str) -> Iterator[str]:
    """Name the innermost keys by which two values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for inner in sorted(one.keys() | other.keys()):
            yield from _differing(one.get(inner), other.get(inner), f"{key}.{inner}")
    elif one != other:
        yield key


def _key(contrast: Mapping[str, Any]) -> tuple[str, str]:
    return contrast["first"], contrast["second"]


def _change(one: Mapping[str, Any], other: Mapping[str, Any], *, same: bool) -> dict[str, Any]:
    def moved(part: str, name: str) -> dict[str, float]:
        before, after = (Interval.read(of[part][name]) for of in (one, other))
        if part == "ratios" and not same:
            logs = changed(before.through(math.log), after.through(math.log))
            return asdict(logs.through(math.exp))
        return asdict(changed(before, after))

    kept = {"ratios": {name: moved("ratios", name) for name in one["ratios"]}}
    if same:
        parts = [part for part in one["ledger"] if part in other["ledger"]]
        kept["ledger_us"] = {part: moved("ledger", part) for part in parts}
    return {"first": one["first"], "second": one["second"], **kept}


def _sentence(quantity: Mapping[str, str], change: Mapping[str, Any], *, same: bool) -> str:
    """Say whether the answer to the question changed."""
    of, neutral = change["ratios"][quantity["name"]], 0 if same else 1
    seen = "changed" if of["low"] > neutral or of["high"] < neutral else "no change seen"
    points = " percentage points" if same else ""
    of_what = f"{' over '.join(_key(change))}, {quantity['noun']}"
    return f"{of_what}: {seen}, {_of_ratio(of, same=same)}{points}."


def _of_ratio(of: Mapping[str, float], *, same: bool) -> str:
    """Write a difference of ratios in percentage points, or a ratio of them."""
    if same:
        return " ".join(written(Interval.read(of).through(lambda end: 100 * end)))
    return "×" + " ".join(written(Interval.read(of), ".3f"))


def text(change: ResultChange) -> str:
    """Write a change: its sentence first."""
    same, contrasts = change.same_machine, change.contrasts
    where = "on one machine" if same else "on two machines, so ratios of ratios"
    named = [  # a mapping (the mitigations) is not for a line
        key if isinstance(before, dict) else f"{key} {before} → {after}"
        for key, (before, after) in change.differs.items()
    ]
    head = ["percentage points" if same else "ratio of ratios", *contrasts[0]["ratios"]]
    rows = [
        [
            " over ".join(_key(contrast)),
            *(_of_ratio(of, same=same) for of in contrast["ratios"].values()),
        ]
        for contrast in contrasts
    ]
    ledger = [
        [part, " ".join(written(Interval.read(of)))]
        for part, of in contrasts[0].get("ledger_us", {}).items()
        if part == "all" or max(map(abs, of.values())) >= 0.05
    ]
    machines = "; ".join(change.machines)
    count = sum(len(contrast["ratios"]) for contrast in contrasts)
    parts = (
        wrap(change.sentence),
        wrap(f"{change.first} → {change.second}, {where}: {machines}."),
        wrap(f"Differs besides: {'; '.join(named)}.") if named else "",
        wrap(f"NOT ALIKE, but allowed: {'; '.join(change.allowed)}.") if change.allowed else "",
        columns(head, rows, rule=True),
        columns([f"µs a request, {rows[0][0]}", "change"], ledger, rule=True) if ledger else "",
        wrap(f"95 % intervals; of {count}, one in twenty would show a change by chance."),
    )
    return "\n\n".join(filter(None, parts))
