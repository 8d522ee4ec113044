"""Translate errors of libraries and of the system into ours. Pure."""

from __future__ import annotations

import errno

from twinstack.errors import TwinstackError

#: Errors of libraries, by name so that none is imported here: object, failure.
_FOREIGN = {
    "docker.errors.DockerException": ("Docker engine", "failed"),
    "requests.exceptions.RequestException": ("Docker engine", "does not answer"),
}
#: The path cannot be used; there is no room.
_PATH = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG}
_FULL = {errno.ENOSPC, errno.EDQUOT}


def translate(error: Exception) -> TwinstackError | None:
    """Translate an error; None for one that is unforeseen."""
    if isinstance(error, TwinstackError):
        return error
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    for name, words in _FOREIGN.items():  # in this order: an APIError is a RequestException too
        if name in kinds:
            return TwinstackError(*words, _cause(error), 'run "invoke doctor"')
    if isinstance(error, OSError):
        subject = str(error.filename or "operating system")
        return TwinstackError(subject, "cannot be used", _cause(error), _remedy(error))
    return None


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run it with sudo"
    if error.errno in _FULL:
        return "free some space there"
    # A missing program has a name without a slash.
    if error.errno in _PATH and "/" in str(error.filename):
        return "choose another path"
    return 'run "invoke doctor"'


def _cause(error: Exception) -> str:
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return cause.strip() or type(error).__name__


def notes(error: TwinstackError) -> list[str]:
    """Give each error's notes: the end of a service's log."""
    return [
        f"--- {failure.obj}, the end of its log:\n{note}"
        for failure in getattr(error, "failures", (error,))
        for note in getattr(failure, "__notes__", ())
    ]
