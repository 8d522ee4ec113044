"""What changed from one kept result to another; pure.

Rates and times of two runs are never compared: the machine was another one, or in another mood.
Ratios are. On one machine a change is a difference of ratios, and of the ledger's microseconds; on
two machines a ratio of ratios. Results of unlike questions, loads, windows or worlds are refused.

An interval of the difference of two independent estimates follows from theirs.
Source: Zou & Donner, Statist. Med. 27, 2008 (MOVER); ratios: Donner & Zou, SMMR 21, 2012.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from bench.engine.estimate import Difference
from bench.engine.kept import Kept
from bench.engine.show import columns, signed, wrap
from bench.engine.store import SCHEMA
from twinstack.errors import CannotTell, TwinstackError

_MACHINE = ("cpu", "cores", "memory_bytes")
#: Where one of these differs, worlds are unlike.
_WORLDS = ("shape", "policy", "limits", "software")
#: What may differ, as it may be what the comparison is about: it is named.
_STATED = ("kernel", "os", "docker", "ab", "mitigations", "topology_digest", "revision")


def changed(first: Difference, second: Difference) -> Difference:
    """Give second − first with its interval, from both intervals."""
    estimate = second.estimate - first.estimate
    below = math.hypot(second.estimate - second.low, first.high - first.estimate)
    above = math.hypot(second.high - second.estimate, first.estimate - first.low)
    return Difference(estimate, estimate - below, estimate + above)


def compare(first: Kept, second: Kept) -> dict[str, Any]:
    """Give the document of a change from the first result to the second.

    Raises: CannotTell for a result without intervals; TwinstackError when they are unlike.
    """
    for kept in (first, second):
        if kept.schema < SCHEMA or not kept.document.get("contrasts"):
            older = f"it is of schema {kept.schema}, older than {SCHEMA}"
            cause = older if kept.schema < SCHEMA else "it has no intervals"
            raise CannotTell(kept.stem, "cannot be compared", cause, "measure it again")
    if keys := list(unlike(first, second)):
        cause = f"they differ in {', '.join(keys)}"
        remedy = "compare results of one question, load and kind of world"
        raise TwinstackError(f"{first.stem} and {second.stem}", "are unlike", cause, remedy)
    before, after = first.environment, second.environment
    same = all(before.get(key) == after.get(key) for key in _MACHINE)
    here = [key for key in _STATED if before.get(key) != after.get(key)]
    ends = {_key(contrast): contrast for contrast in second.document["contrasts"]}
    contrasts = [
        _change(contrast, ends[_key(contrast)], same=same)
        for contrast in first.document["contrasts"]
        if _key(contrast) in ends
    ]
    return {
        "first": first.stem,
        "second": second.stem,
        "machines": list(dict.fromkeys((first.machine, second.machine))),
        "same_machine": same,
        "measure": "difference of ratios" if same else "ratio of ratios",
        "differs": {key: [before.get(key), after.get(key)] for key in here},
        "sentence": _sentence(first.document, contrasts[0], same=same),
        "contrasts": contrasts,
    }


def unlike(first: Kept, second: Kept) -> Iterator[str]:
    """Name the keys by which two results are not of the same thing."""
    one, other = first.document, second.document
    if one["name"] != other["name"]:
        yield "name"
        return
    for key in ("load", "quantities", "not_alike"):
        if one.get(key) != other.get(key):
            yield key
    if one["design"]["seconds"] != other["design"]["seconds"]:
        yield "design.seconds"
    if _key(one["contrasts"][0]) != _key(other["contrasts"][0]):
        yield "contrasts"
    for key in _WORLDS:
        yield from _differing(first.environment.get(key), second.environment.get(key), key)
    yield from _differing(one.get("fingerprint"), other.get("fingerprint"), "fingerprint")


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
    def ratio(of: Mapping[str, float]) -> Difference:
        ends = (of[end] if same else math.log(of[end]) for end in ("estimate", "low", "high"))
        return Difference(*ends)

    ratios = {}
    for name, of in one["ratios"].items():
        moved = changed(ratio(of), ratio(other["ratios"][name]))
        ends = {end: getattr(moved, end) for end in ("estimate", "low", "high")}
        ratios[name] = ends if same else {end: math.exp(value) for end, value in ends.items()}
    kept: dict[str, Any] = {"first": one["first"], "second": one["second"], "ratios": ratios}
    if same:
        kept["ledger_us"] = {
            part: _ends(changed(Difference(**of), Difference(**other["ledger"][part])))
            for part, of in one["ledger"].items()
            if part in other["ledger"]
        }
    return kept


def _ends(of: Difference) -> dict[str, float]:
    return {"estimate": of.estimate, "low": of.low, "high": of.high}


def _sentence(document: Mapping[str, Any], change: Mapping[str, Any], *, same: bool) -> str:
    """Say whether the answer to the question changed."""
    quantity = document["quantities"][0]
    of, neutral = change["ratios"][quantity["name"]], 0 if same else 1
    seen = "changed" if of["low"] > neutral or of["high"] < neutral else "no change seen"
    unit = " points of a hundred" if same else ""
    return (
        f"{change['first']} over {change['second']}, {quantity['noun']}: "
        f"{seen}, {_cell(of, same=same)}{unit}."
    )


def _cell(of: Mapping[str, float], *, same: bool) -> str:
    ends = [of[end] for end in ("estimate", "low", "high")]
    words = [signed(100 * end, 1) if same else f"{end:.3f}" for end in ends]
    return f"{'' if same else '×'}{words[0]} [{words[1]}, {words[2]}]"


def text(document: Mapping[str, Any]) -> str:
    """Write a change: its sentence first."""
    same, contrasts = document["same_machine"], document["contrasts"]
    where = "on one machine" if same else "on two machines, so ratios of ratios"
    opening = f"From {document['first']} to {document['second']}, {where}: "
    parts = [wrap(document["sentence"]), wrap(opening + "; ".join(document["machines"]) + ".")]
    if document["differs"]:
        # A mapping (the mitigations) is not for a line.
        differs = (
            key if isinstance(ends[0], dict) else f"{key} {ends[0]} → {ends[1]}"
            for key, ends in document["differs"].items()
        )
        parts.append(wrap(f"Differs besides: {'; '.join(differs)}."))
    head = ["points [95 %]" if same else "ratio of ratios [95 %]", *contrasts[0]["ratios"]]
    rows = [
        [
            f"{contrast['first']} over {contrast['second']}",
            *(_cell(of, same=same) for of in contrast["ratios"].values()),
        ]
        for contrast in contrasts
    ]
    parts.append(columns(head, rows, rule=True))
    if same:
        first = contrasts[0]
        title = f"µs a request, {first['first']} over {first['second']}"
        ledger = [
            [part, signed(of["estimate"], 1), f"[{signed(of['low'], 1)}, {signed(of['high'], 1)}]"]
            for part, of in first["ledger_us"].items()
            if part == "all" or max(map(abs, of.values())) >= 0.05
        ]
        parts.append(columns([title, "change", "[95 %]"], ledger, rule=True))
    if (count := sum(len(contrast["ratios"]) for contrast in contrasts)) > 1:
        parts.append(
            wrap(
                f"Of {count} such intervals one in twenty excludes no change by chance; the "
                "sentence is of the first."
            )
        )
    return "\n\n".join(parts)
