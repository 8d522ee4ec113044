"""The errors of the engine and of its client, as ours.

`translated` is on every public function that asks the engine; `translate` is for `run_step`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from twinstack.errors import CannotTell, Missing, StepFailed, TwinstackError

#: Raised by the client when the engine refuses, is gone, or goes while it answers.
RAW = (DockerException, RequestException, HTTPError)
_CAUSE_CHARACTERS = 600
_LOOK = "look at the engine: docker info"
#: Engine 20.10 may go on counting the endpoint of a removed container until it is restarted.
_ENDPOINTS = "has active endpoints"
_LOST = "remove the containers on it; if there are none, restart the engine: it recounts"

P = ParamSpec("P")
R = TypeVar("R")


def translate(error: Exception, obj: str, *, reading: bool = False) -> TwinstackError | None:
    """Give the error of ours that says the same; None for one that is not the engine's."""
    if not isinstance(error, RAW):
        return None
    cause = str(getattr(error, "explanation", "") or error)[-_CAUSE_CHARACTERS:]
    if isinstance(error, NotFound):
        return Missing(obj, "does not find what it needs", cause, "run: invoke docker.up")
    if reading:
        return CannotTell(obj, "the engine does not answer", cause, _LOOK)
    if isinstance(error, APIError) and error.is_client_error():
        return StepFailed(
            obj, "the engine refuses", cause, _LOST if counts_endpoints(error) else ""
        )
    return StepFailed(obj, "the engine fails", cause, _LOOK)


def counts_endpoints(error: APIError) -> bool:
    """Tell whether the engine keeps a network because it counts something on it."""
    return _ENDPOINTS in str(error.explanation)


def translated(obj: str, *, reading: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only our own errors out of a function; `obj` is what they name."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def called(*arguments: P.args, **words: P.kwargs) -> R:
            try:
                return function(*arguments, **words)
            except Exception as error:
                ours = translate(error, obj, reading=reading)
                if ours is None:
                    raise
                raise ours from error

        return called

    return wrap
