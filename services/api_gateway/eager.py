"""Coroutines without a task: run up to where they wait, and on as soon as that is there.

A task begins one turn of the event loop later, and goes on one turn later. Run here, a request is
on its way to an instance before the client's next one is read, and its answer is on its way to the
client as soon as it is complete. Such a coroutine awaits a `Pending`, or a future. For what wants
a task (`asyncio.timeout`), one is made, and awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """What will be there: a value or an error, for the one coroutine that awaits it."""

    __slots__ = ("_error", "_value", "done", "resume")

    def __init__(self) -> None:
        self.done = False
        self.resume: Callable[[], object] | None = None
        self._value: T
        self._error: Exception | None = None

    def set(self, value: T) -> None:
        """Give the value; who awaits it goes on now, before this returns."""
        self._value = value
        self._finish()

    def fail(self, error: Exception) -> None:
        """Raise an error where this is awaited."""
        self._error = error
        self._finish()

    def _finish(self) -> None:
        self.done = True
        if self.resume is not None:
            self.resume()

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value


def run(coroutine: Coroutine[Any, Any, object], if_failed: Callable[[], object]) -> None:
    """Run a coroutine, now. If it fails, tell the loop's exception handler, then `if_failed`."""
    _Run(coroutine.send, if_failed).go_on()


class _Run:
    """A coroutine on its way. No closure: one that knows itself would be left to the collector."""

    __slots__ = ("_if_failed", "_send")

    def __init__(self, send: Callable[[None], Any], if_failed: Callable[[], object]) -> None:
        self._send = send
        self._if_failed = if_failed

    def go_on(self, _: object = None) -> None:
        try:
            awaited = self._send(None)
        except StopIteration:
            return
        except (Exception, asyncio.CancelledError) as error:
            context = {"message": "a coroutine failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self._if_failed()
            return
        if isinstance(awaited, Pending):
            awaited.resume = self.go_on
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self.go_on)


def in_task(coroutine: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """Run a coroutine as `run` does; give what a task may await for its result."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def tell() -> None:
        try:
            result = await coroutine
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    run(tell(), future.cancel)
    return future
