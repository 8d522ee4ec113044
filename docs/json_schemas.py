"""Write docs/schemas/: the JSON Schema of every task's `--json`, and of topology.yml, from types.

`.venv/bin/python -m docs.json_schemas` writes them; a test fails when one is stale.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from pydantic import TypeAdapter

import tasks
from bench.engine import change, kept, store
from front import chaos, course, docker, documents, drill, tried
from front.reporting import VERSION
from twinstack.chaos.run import ChaosReport
from twinstack.cis.gate import CisReport
from twinstack.confinement.requirements import Confinement
from twinstack.course.session import LessonReport
from twinstack.doctor.report import DoctorReport
from twinstack.drill.check import Checked
from twinstack.drill.hints import Hint, Solution
from twinstack.drill.put import Begun
from twinstack.faults.drill_record import Attempts
from twinstack.model.schema import topology_schema
from twinstack.observe.capture.report import CaptureResult
from twinstack.observe.connections.report import ConnectionSnapshots
from twinstack.observe.flows.text import FlowDocument
from twinstack.observe.journey.report import Journeys
from twinstack.observe.live.model import WorldSamples
from twinstack.observe.logs.show import LogDocument
from twinstack.observe.picture.model import Topologies
from twinstack.observe.prometheus.run import MetricsStatus
from twinstack.observe.traffic.report import TrafficReport
from twinstack.observe.why.explanation import Explanations
from twinstack.overlay.chaos import FaultReport
from twinstack.overlay.flooding import UnderlayTraffic
from twinstack.policy.drops import DropReport
from twinstack.policy.show import ShownPolicies
from twinstack.policy.verdict import HostVerdicts, VerifiedPolicies
from twinstack.swarm.status import SwarmStatus
from twinstack.tour.report import TourReport

SCHEMAS = Path(__file__).with_name("schemas")
#: What every task with `--json` prints; the first that fits: the task's name, its noun's rest, its
#: verb.
DOCUMENTS: dict[str, tuple[type, ...]] = {
    "bench.compare": (change.ResultChange,),
    "bench.history": (kept.KeptHistory,),
    "bench.*": (store.KeptResult,),
    "chaos": (ChaosReport, FaultReport, chaos.LostNode),
    "chaos.list": (chaos.ListedFaults,),
    "check.engines": (tried.TriedEngines,),
    "check.scale": (store.KeptResult,),
    "clean": (documents.Removed, documents.Removable),
    "conntrack": (ConnectionSnapshots,),
    "course.answer": (course.AnsweredPart,),
    "course.catchup": (course.BegunLesson,),
    "course.check": (LessonReport,),
    "course.grade": (LessonReport,),
    "course.list": (course.ListedLessons,),
    "course.solution": (course.LessonSolution,),
    "course.start": (course.BegunLesson,),
    "course.stop": (documents.Removed,),
    "docker.build": (docker.BuiltImages,),
    "docker.render": (docker.RenderedFiles,),
    "docker.status": (documents.Services,),
    "doctor": (DoctorReport,),
    "drill.check": (Checked,),
    "drill.hint": (Hint,),
    "drill.list": (drill.ListedDrills,),
    "drill.report": (Attempts,),
    "drill.solve": (Solution,),
    "drill.start": (Begun,),
    "drill.stop": (drill.StoppedDrill,),
    "flows": (FlowDocument,),
    "health": (WorldSamples,),
    "metrics.status": (MetricsStatus,),
    "metrics.up": (MetricsStatus,),
    "net.status": (documents.Status,),
    "overlay.plan": (documents.HostPlans,),
    "overlay.status": (documents.HostsStatus,),
    "overlay.verify": (HostVerdicts,),
    "overlay.watch": (UnderlayTraffic,),
    "policy.cis": (CisReport,),
    "policy.confinement": (Confinement,),
    "policy.drops": (DropReport,),
    "policy.show": (ShownPolicies,),
    "policy.verify": (VerifiedPolicies,),
    "swarm.status": (SwarmStatus,),
    "swarm.up": (SwarmStatus,),
    "topology": (Topologies,),
    "tour": (TourReport,),
    "traffic.capture": (CaptureResult,),
    "traffic.journey": (Journeys,),
    "traffic.report": (TrafficReport,),
    "why": (Explanations,),
    "*.down": (documents.Removed,),
    "*.logs": (LogDocument,),
    "*.plan": (documents.PlannedUp,),
    "*.release": (documents.Services,),
    "*.restart": (documents.Services,),
    "*.scale": (documents.Services,),
    "*.up": (documents.Services,),
}
#: Results of the benchmarks have fields of their question's own beside those that all have.
_OPEN = store.KeptResult
#: A line each as it comes, so nothing is judged.
_STREAMS = ((LogDocument,), (FlowDocument,))


def printing(root: Collection = tasks.namespace) -> Iterator[str]:
    """Name every task that has `--json`."""
    for name, task in root.tasks.items():
        if any(argument.name == "json" for argument in task.get_arguments()):
            noun = root.name or ""
            yield f"{noun}.{name}".removeprefix(f"{noun}.{noun}").lstrip(".") or name
    for collection in root.collections.values():
        yield from printing(collection)


def types_of(task: str) -> tuple[type, ...]:
    """Give the types of a task's documents. Raises: KeyError where none is declared."""
    noun, _, verb = task.partition(".")
    for key in (task, f"{noun}.*", f"*.{verb}"):
        if key in DOCUMENTS:
            return DOCUMENTS[key]
    raise KeyError(task)


def schema(task: str) -> dict[str, Any]:
    """Give a task's JSON Schema, of the draft 2020-12."""
    types = types_of(task)
    made = TypeAdapter(reduce(or_, types)).json_schema(mode="serialization")
    shared = made.pop("$defs", {})
    named = [of["$ref"].rpartition("/")[2] for of in made.pop("anyOf", ())]
    roots = [shared.pop(name) for name in named] or [made]
    alternatives = [_enveloped(task, root, types) for root in roots]
    whole = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    name = f"twinstack/{task}/{VERSION}"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name}
    lean: dict[str, Any] = _lean(head | whole | ({"$defs": shared} if shared else {}))
    return lean | {"title": name}


def _lean(node: Any) -> Any:
    """Drop titles and defaults: all fields are always printed, and no others."""
    if isinstance(node, list):
        return [_lean(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _lean(value) for key, value in node.items() if key not in {"title", "default"}}
    if fields := node.get("properties"):
        kept["properties"] = {name: _lean(field) for name, field in fields.items()}
        kept["required"] = list(fields)
        kept.setdefault("unevaluatedProperties", False)
    return kept


def _enveloped(task: str, made: dict[str, Any], types: tuple[type, ...]) -> dict[str, Any]:
    envelope: dict[str, Any] = {"schema": {"const": f"twinstack/{task}/{VERSION}"}}
    if types not in _STREAMS:
        says = "whether all is as asked: the exit code is 0"
        envelope["ok"] = {"type": "boolean", "description": says}
    return {
        "type": "object",
        "properties": envelope | made["properties"],
        "required": [*envelope, *made["properties"]],
        "unevaluatedProperties": types == (_OPEN,),
    }


def files() -> dict[Path, str]:
    """Give the text of every file."""
    made = {f"{task}.json": schema(task) for task in printing()}
    made["topology.yml.json"] = topology_schema()
    return {
        SCHEMAS / name: json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        for name, document in made.items()
    }


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
