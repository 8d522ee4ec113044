"""A kept result as one HTML file that needs nothing else: verdict, charts, machine, design."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.engine import charts
from bench.engine.arm import Window
from twinstack.software.configs import TEMPLATES, templates_in

TEMPLATE = "result.html.j2"
_MACHINE = ("cpu", "cores", "kernel", "os", "docker", "ab", "policy", "shape", "instance")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing under its title, and how to read it."""

    title: str
    svg: str
    caption: str


def html(document: Mapping[str, Any], windows: Sequence[Window], text: str, stem: str) -> str:
    """Write the page of a document, with what was printed; `stem` names the files beside it."""
    started = datetime.fromisoformat(document["started"])
    template = templates_in(TEMPLATES, html=True).get_template(TEMPLATE)
    return template.render(
        name=document["name"],
        started=f"{started:%Y-%m-%d %H:%M} UTC",
        verdict=document.get("sentence", ""),
        files=[f"{stem}{suffix}" for suffix in (".json", *([".csv"] if windows else []), ".md")],
        charts=list(drawn(document, windows)),
        tables={
            "The design": dict(design(document, windows)),
            "Disturbed, allowed": dict(disturbed(document)),
            "The machine": dict(machine(document["environment"])),
        },
        text=text,
    )


def drawn(document: Mapping[str, Any], windows: Sequence[Window]) -> Iterator[Drawing]:
    """Draw what there is: no intervals for an interrupted run, nothing without windows."""
    contrasts = document.get("contrasts", []) if windows else []
    if contrasts:
        first = contrasts[0]
        yield Drawing(
            "Every contrast",
            charts.forest(document),
            "95 % intervals over deployments. Within the shaded zone, ±3 %, a difference is of no "
            "consequence. Hollow: left open, once all contrasts are taken together. Dashed: a "
            "bound.",
        )
        yield Drawing(
            f"Where it goes: {first['first']} over {first['second']}",
            charts.waterfall(first),
            "Extra CPU time a request beyond rest, in µs, with 95 % intervals; the parts add up "
            "to all of it.",
        )
    if windows:
        yield Drawing(
            "Windows in the order measured",
            charts.over_time(windows, int(document["environment"].get("cores") or 1)),
            "CPU time a request, each arm about its median. Numbers and shades: deployments. "
            "Red squares: others had more than a tenth of the machine.",
        )
        yield Drawing(
            "Rates",
            charts.ecdf(windows),
            "Which part of an arm's windows answered at most so many requests per second.",
        )


def design(document: Mapping[str, Any], windows: Sequence[Window]) -> Iterator[tuple[str, str]]:
    """Name how it was measured."""
    if not windows:
        return
    planned = document["design"]
    yield "load", document["load"]
    yield "deployments", str(len({window.deployment for window in windows}))
    yield "blocks", str(len({window.block for window in windows}))
    yield "windows", f"{len(windows)} of {planned['seconds']:g} s"
    yield "seed", str(document["seed"])
    yield "ended", f"{document['stopped']} after {document['seconds'] / 60:.1f} min"


def disturbed(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name what disturbed the measurement, and what differs besides the question."""
    if document.get("broken"):
        yield "INTERRUPTED", document["broken"]
    if "busy" in document:
        busy = document["busy"]
        yield "busy blocks", f"{busy['repeated']} measured again, {busy['kept']} kept"
        yield "failed requests", f"{document['failed']:,}"
    for number, sentence in enumerate(document.get("not_alike", ())):
        yield "" if number else "allowed although NOT ALIKE", sentence
    for number, sentence in enumerate(document.get("alike_but_for", ())):
        yield f"alike but for ({number + 1})", sentence


def machine(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name the machine and its software."""
    yield from ((key, str(environment[key])) for key in _MACHINE if environment.get(key))
    if memory_bytes := environment.get("memory_bytes"):
        yield "memory", f"{memory_bytes / 2**30:.1f} GiB"
    limits: dict[str, list[str]] = {}
    for replica, limit in environment.get("limits", {}).items():
        limits.setdefault(limit, []).append(replica)
    yield from ((f"limit {limit}", ", ".join(replicas)) for limit, replicas in limits.items())
    for key, value in environment.get("mitigations", {}).items():
        yield key.replace("_", " "), value
    yield "commit", str(environment.get("revision", "unknown"))
