"""The figures that a dashboard shows, held against the limits that its plan declares."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.sandbox import Sandbox
from twinstack.model.plan import Plan

#: A quota holds in each period of 100 ms; half a second touches six of them.
_CPU_JITTER = 1.25


def beyond_limits(document: Mapping[str, Any], plan: Plan) -> list[str]:
    """List the figures of a sample that its plan does not allow: other limits, and more than them.

    A figure that is not known (None, while a process starts) is no violation.
    """
    violations = []
    declared = {replica.name: replica.limits for replica in plan.replicas}
    for replica in document["replicas"]:
        limits, name = declared[replica["name"]], replica["name"]
        if limits is None or replica["memory_bytes"] is None:
            continue
        if replica["cpu_limit"] != limits.cpus or replica["memory_limit"] != limits.memory_bytes:
            violations.append(f"{name}: limits {replica['cpu_limit']}, {replica['memory_limit']}")
        if replica["memory_bytes"] > limits.memory_bytes:
            violations.append(f"{name}: {replica['memory_bytes']} bytes")
        if (replica["cpus"] or 0) > limits.cpus * _CPU_JITTER:
            violations.append(f"{name}: {replica['cpus']:.2f} cores")
    return violations


@dataclass
class Samples:
    """Every sample that a dashboard sent, as it came."""

    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: int = 0
    violations: list[str] = field(default_factory=list)

    def take(self, lines: Iterator[str], plan: Plan) -> None:
        """Read server-sent events to the end of the stream."""
        kind = ""
        for line in lines:
            if line.startswith("event: "):
                kind = line.removeprefix("event: ").strip()
            elif line.startswith("data: ") and kind == "sample":
                document = json.loads(line.removeprefix("data: "))
                if document["up"]:
                    self.latest[document["world"]] = document
                    self.seen += 1
                    self.violations += [
                        f"{document['world']} {line}" for line in beyond_limits(document, plan)
                    ]


@contextmanager
def every_sample(host: Sandbox, address: str, plan: Plan) -> Iterator[Samples]:
    """Follow a dashboard's events while the block lasts."""
    samples = Samples()
    with host.start("curl", "-sN", f"{address}events", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=samples.take, args=(process.stdout, plan))
        reader.start()
        try:
            yield samples
        finally:
            process.kill()
            reader.join()
