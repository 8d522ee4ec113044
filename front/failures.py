"""Errors as a user reads them: those of libraries and of the system put into our words; pure."""

from __future__ import annotations

import errno

from twinstack.errors import TwinstackError

#: Errors of libraries that we call, by name, so that none is imported here: object, failure.
_FOREIGN = {
    "pyroute2.netlink.exceptions.NetlinkError": ("kernel", "refused a request"),
    "docker.errors.DockerException": ("Docker engine", "failed"),
    "requests.exceptions.RequestException": ("Docker engine", "does not answer"),
}
#: What no place can be made of, and where there is none left.
_NO_PLACE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EROFS,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}
_FULL = {errno.ENOSPC, errno.EDQUOT}


def told(error: Exception) -> TwinstackError | None:
    """Put an error into our words; None for one that nobody foresaw."""
    if isinstance(error, TwinstackError):
        return error
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    for name, words in _FOREIGN.items():  # in their order: an APIError is a RequestException too
        if name in kinds:
            return TwinstackError(*words, _cause(error), 'run "invoke doctor"')
    if isinstance(error, OSError):
        return TwinstackError(
            str(error.filename or "operating system"),
            "cannot be used",
            _cause(error),
            _remedy(error),
        )
    return None


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "run it with sudo"
    if error.errno in _FULL:
        return "make room there"
    # A program that lacks has a name alone.
    if error.errno in _NO_PLACE and "/" in str(error.filename):
        return "choose another place"
    return 'run "invoke doctor"'


def _cause(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.strip() or type(error).__name__


def notes(error: TwinstackError) -> list[str]:
    """Give what is known beside each error: the end of a service's log."""
    inner = getattr(error, "failures", (error,))
    return [
        f"--- {one.obj}, the end of its log:\n{note}"
        for one in inner
        for note in getattr(one, "__notes__", ())
    ]
