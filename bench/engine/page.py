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
_MACHINE = ("cpu", "cores", "memory_bytes", "kernel", "os", "docker", "ab", "shape", "revision")


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
        tables=dict(tables(document, windows)),
        text=text,
    )


def drawn(document: Mapping[str, Any], windows: Sequence[Window]) -> Iterator[Drawing]:
    """Draw what there is: no intervals for an interrupted run, nothing without windows."""
    if not windows:
        return
    yield from estimates(document)
    yield Drawing(
        "Windows in the order measured",
        charts.over_time(windows, int(document["environment"].get("cores") or 1)),
        "Each arm about its median. Numbers and shades: deployments. "
        "Red squares: others had more than a tenth of the machine.",
    )
    yield Drawing(
        "Rates",
        charts.ecdf(windows),
        "Which part of an arm's windows answered at most so many requests per second.",
    )


def estimates(document: Mapping[str, Any]) -> Iterator[Drawing]:
    """Draw the intervals of a result; an interrupted one has none."""
    contrasts = document.get("contrasts", [])
    if "shares" in document:
        yield Drawing(
            "What each cause is worth",
            charts.shares(document["shares"]),
            "How many times as many requests the namespaces answer, and by what factor each cause "
            "makes it so. Taken away one after another, they lead to what is left. 95 % intervals.",
        )
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


def tables(
    document: Mapping[str, Any], windows: Sequence[Window]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Name how it was measured, what disturbed it or was allowed, and the machine."""
    if windows:
        yield (
            "The design",
            {
                "load": document["load"],
                "deployments": str(len({window.deployment for window in windows})),
                "blocks": str(len({window.block for window in windows})),
                "windows": f"{len(windows)} of {document['design']['seconds']:g} s",
                "seed": str(document["seed"]),
                "ended": f"{document['stopped']} after {document['seconds'] / 60:.1f} min",
            },
        )
        busy = document["busy"]
        disturbed = {
            "interrupted": document["broken"],
            "busy blocks": f"{busy['repeated']} measured again, {busy['kept']} kept",
            "failed requests": f"{document['failed']:,}",
            "NOT ALIKE, allowed": "; ".join(document.get("not_alike", ())),
            "alike but for": "; ".join(document.get("alike_but_for", ())),
        }
        yield "Disturbed, allowed", {key: value for key, value in disturbed.items() if value}
    here = document["environment"]
    limits: dict[str, list[str]] = {}
    for replica, limit in here.get("limits", {}).items():
        limits.setdefault(limit, []).append(replica)
    mitigations = (f"{key}: {value}" for key, value in here.get("mitigations", {}).items())
    machine = {
        **{key: str(here[key]) for key in _MACHINE if here.get(key)},
        "limits": "; ".join(f"{limit}: {', '.join(of)}" for limit, of in limits.items()),
        "mitigations": "; ".join(mitigations),
    }
    yield "The machine", machine
