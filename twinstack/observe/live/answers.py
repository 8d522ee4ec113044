"""What services answer about themselves, as typed values; an answer of another shape is None. Pure.

A watcher trusts no service: a malformed answer counts as no answer, and never ends the watcher.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from twinstack.printable import cut, visible

_DETAIL_CHARACTERS = 160
_MOST = 1 << 63
#: A name of a service, an instance or an address. Source: RFC 1035.
_Name = Annotated[str, Field(max_length=253), AfterValidator(visible)]
_Count = Annotated[int, Field(ge=0, lt=_MOST)]
_Seconds = Annotated[float, Field(gt=-_MOST, lt=_MOST)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class RequestCounts(_Answer):
    """Requests since a process started counting."""

    answers: _Count
    failures: _Count
    busy_s: _Seconds  # time spent on them

    def since(self, before: RequestCounts | None) -> RequestCounts | None:
        """Give the difference; None where a count fell: reset, or another worker's."""
        if before is None:
            return self
        more = {name: getattr(self, name) - getattr(before, name) for name in _COUNTS}
        return None if min(more.values()) < 0 else RequestCounts.model_construct(None, **more)


_COUNTS = tuple(RequestCounts.model_fields)


class DependencyCounts(RequestCounts):
    """What a replica asked of a store, the registry or another service."""

    name: _Name  # redis, postgres, registry, or a replica's


class UpstreamCounts(RequestCounts):
    """What a gateway asked of an instance."""

    service: _Name
    instance: _Name
    shunned: bool  # the gateway has ejected it for a moment
    errors: _Count = 0  # of the answers: with a status of 500 or more


class GatewayCounts(_Answer):
    """What a gateway answered, by class of status, and what it asked."""

    statuses: Annotated[dict[str, _Count], Field(min_length=1)]
    busy_s: _Seconds
    upstreams: tuple[UpstreamCounts, ...]

    @property
    def total(self) -> RequestCounts:
        """Sum up all answers; 5xx are failures."""
        failures = self.statuses.get("5xx", 0)
        answers = sum(self.statuses.values()) - failures
        return RequestCounts.model_construct(answers=answers, failures=failures, busy_s=self.busy_s)


class Lease(_Answer):
    """An instance in the registry."""

    service: _Name = ""
    instance: _Name
    address: _Name
    port: _Count
    expires_in_s: _Seconds  # unless it sends a heartbeat


class _Health(_Answer):
    status: object = None
    needs: object = None
    reasons: object = None


class _Dependencies(_Answer):
    asked: tuple[DependencyCounts, ...]


class _Registry(_Answer):
    services: dict[_Name, tuple[Lease, ...]]


Model = TypeVar("Model", bound=_Answer)


def _read(model: type[Model], body: bytes) -> Model | None:
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def health(body: bytes) -> tuple[bool, str]:
    """Read whether a service calls itself degraded, and which of its needs fail."""
    answer = _read(_Health, body) or _Health()
    needs = answer.needs if isinstance(answer.needs, dict) else {}
    reasons = answer.reasons if isinstance(answer.reasons, list) else []
    states = {name: state for name, state in needs.items() if isinstance(state, str)}
    failing = [f"{name} {state}" for name, state in states.items() if state != "ok"]
    failing += [reason for reason in reasons if isinstance(reason, str)]
    return answer.status == "degraded", short("; ".join(failing))


def dependencies(body: bytes) -> tuple[DependencyCounts, ...] | None:
    """Read from a health or counts document what its replica asked of others."""
    answer = _read(_Dependencies, body)
    return answer.asked if answer else None


def gateway(body: bytes) -> GatewayCounts | None:
    """Read what a gateway counted."""
    return _read(GatewayCounts, body)


def registry(body: bytes) -> tuple[Lease, ...] | None:
    """Read who is registered, by service."""
    answer = _read(_Registry, body)
    if answer is None:
        return None
    return tuple(
        lease.model_copy(update={"service": service})
        for service, leases in sorted(answer.services.items())
        for lease in leases
    )


def short(words: str | bytes) -> str:
    """Fit what a service says into one printable line."""
    text = words if isinstance(words, str) else words.decode(errors="replace")
    return cut(" ".join(text.split()), _DETAIL_CHARACTERS)
