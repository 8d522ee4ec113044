"""The engine's errors and its clients' as ours: an object, what failed, why, and what to do.

`translated` stands on every public function that asks the engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from docker.errors import APIError, DockerException, NotFound
from python_on_whales.exceptions import DockerException as ComposeFailed
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from twinstack.errors import CannotTell, Missing, StepFailed, TwinstackError

#: What the clients raise when the engine refuses, is gone, or goes while it answers.
RAW = (DockerException, RequestException, HTTPError, ComposeFailed)
_CAUSE_CHARACTERS = 600

P = ParamSpec("P")
R = TypeVar("R")


def as_ours(error: Exception, obj: str, *, reading: bool = False) -> TwinstackError:
    """Give the error that says the same as one of the engine's."""
    cause = str(getattr(error, "explanation", "") or error)[-_CAUSE_CHARACTERS:]
    if isinstance(error, NotFound):
        return Missing(obj, "does not find what it needs", cause, "run: invoke docker.up")
    if reading:
        return CannotTell(obj, "the engine does not tell", cause, "look at the engine: docker info")
    refused = isinstance(error, APIError) and error.is_client_error()
    failure = "the engine refuses" if refused else "the engine fails"
    return StepFailed(obj, failure, cause, "" if refused else "look at the engine: docker info")


def translated(obj: str, *, reading: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let nothing but our own errors out of a function; `obj` is what they name."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def called(*arguments: P.args, **words: P.kwargs) -> R:
            try:
                return function(*arguments, **words)
            except RAW as error:
                raise as_ours(error, obj, reading=reading) from error

        return called

    return wrap
