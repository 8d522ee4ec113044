"""What `remote` and the agent on a machine say to each other: one request, one reply, as JSON.

Both ends run the same code, so each pair of functions here is one format written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config

from twinstack.errors import NotHealthy, SeveralFailed, TwinstackError
from twinstack.overlay.flooding import UnderlayTraffic
from twinstack.overlay.hosts import HostAction
from twinstack.overlay.record import OverlayOptions
from twinstack.policy.verdict import PolicyVerdict
from twinstack.reconcile import Change, Preview

AgentAction = Literal["up", "status", "plan", "logs", "listen", "verify", "watch", "down"]
#: The progress of a machine whose listeners stand; they do until its channel is closed.
LISTENING = "listening"


@with_config(ConfigDict(strict=True, extra="forbid"))
@dataclass(frozen=True, slots=True)
class AgentRequest:
    """What a machine is to do. It is complete: a machine has no topology of its own."""

    action: AgentAction
    host: str
    instance: str
    topology: str = ""  # the file's text
    options: OverlayOptions = field(default_factory=OverlayOptions)
    software: dict[str, str] | None = None  # part → name of its bundle
    seccomp: dict[str, Any] | None = None
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # service → name → value
    timeout_s: float = 0.0
    replica: str = ""
    lines: int = 0
    seconds: float = 0.0  # to watch


#: A request as the line of JSON that is sent.
REQUEST = TypeAdapter(AgentRequest)
VERDICT = TypeAdapter(PolicyVerdict)
TRAFFIC = TypeAdapter(UnderlayTraffic)


def preview_to_json(preview: Preview) -> dict[str, Any]:
    """Write what `up` would do."""
    changes = [
        [change.step.name, change.reason, *change.step.commands] for change in preview.changes
    ]
    return {"total": preview.total, "changes": changes, "unbuilt": preview.unbuilt}


def preview_from_json(written: dict[str, Any]) -> Preview:
    """Read what `up` would do."""
    changes = (
        Change(HostAction(name, tuple(commands)), reason)
        for name, reason, *commands in written["changes"]
    )
    return Preview(written["total"], tuple(changes), tuple(written["unbuilt"]))


def errors_to_json(error: Exception) -> list[dict[str, Any]]:
    """Write a failure, or each of several."""
    if isinstance(error, SeveralFailed):
        return [written for failure in error.failures for written in errors_to_json(failure)]
    parts = ("agent", "failed", f"{type(error).__name__}: {error}", "")
    if isinstance(error, TwinstackError):
        parts = (error.obj, error.failure, str(error.cause), str(error.remedy))
    notes = list(getattr(error, "__notes__", ()))
    return [{"parts": parts, "unhealthy": isinstance(error, NotHealthy), "notes": notes}]


def errors_from_json(host: str, errors: Sequence[dict[str, Any]]) -> list[TwinstackError]:
    """Read failures; each names its host."""
    failures = []
    for written in errors:
        obj, failure, cause, remedy = written["parts"]
        error = TwinstackError(f"{host}: {obj}", failure, cause, remedy)
        if written["unhealthy"]:
            remedy = f'see "invoke overlay.logs {obj} --ssh"'
            error = NotHealthy(f"{host}: {obj}", failure, cause, remedy)
        for note in written["notes"]:
            error.add_note(note)
        failures.append(error)
    return failures
