"""Coroutines without a task: they run at once, and go on as soon as what they await is there."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from services.api_gateway.eager import Pending, in_task, run


def in_loop(work: Coroutine[Any, Any, None]) -> list[dict[str, Any]]:
    """Run a coroutine to its end; give what the loop's exception handler was given."""
    handled: list[dict[str, Any]] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: handled.append(context))
        await work

    asyncio.run(whole())
    return handled


def never() -> None:
    pytest.fail("it failed")


def test_it_runs_up_to_its_wait_and_goes_on_when_that_is_set():
    seen: list[object] = []

    async def request(answer: Pending[int]) -> None:
        seen.append("begun")
        seen.append(await answer)
        seen.append(await answer)

    async def work() -> None:
        answer = Pending[int]()
        run(request(answer), never)
        assert seen == ["begun"]
        answer.set(7)
        assert seen == ["begun", 7, 7]

    assert in_loop(work()) == []


def test_what_ended_is_not_left_to_the_collector():
    async def inner(answer: Pending[int]) -> int:
        return await answer

    async def request(answer: Pending[int]) -> None:
        await inner(answer)

    async def work() -> None:
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                answer = Pending[int]()
                run(request(answer), never)
                answer.set(1)
            assert gc.collect() == 0
        finally:
            gc.enable()

    assert in_loop(work()) == []


def test_an_error_is_raised_where_it_is_awaited():
    async def request(answer: Pending[int], seen: list[str]) -> None:
        try:
            await answer
        except ValueError as error:
            seen.append(str(error))

    async def work() -> None:
        for early in (True, False):
            answer, seen = Pending[int](), list[str]()
            if early:
                answer.fail(ValueError("no"))
            run(request(answer, seen), never)
            if not early:
                answer.fail(ValueError("no"))
            assert seen == ["no"]

    assert in_loop(work()) == []


def test_a_future_and_a_task_may_be_awaited_and_time_out():
    seen: list[object] = []

    async def slow() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)

    async def request(future: asyncio.Future[str]) -> None:
        seen.append(await future)
        try:
            await asyncio.get_running_loop().create_task(slow())
        except TimeoutError:
            seen.append("late")

    async def work() -> None:
        future = asyncio.get_running_loop().create_future()
        run(request(future), never)
        future.set_result("there")
        await asyncio.sleep(0.1)
        assert seen == ["there", "late"]

    assert in_loop(work()) == []


def test_what_nobody_catches_goes_to_the_loops_exception_handler():
    async def request(answer: Pending[int]) -> None:
        raise ValueError(await answer)

    ended: list[str] = []

    async def work() -> None:
        answer = Pending[int]()
        run(request(answer), lambda: ended.append("failed"))
        answer.set(3)
        assert ended == ["failed"]

    (context,) = in_loop(work())
    assert repr(context["exception"]) == "ValueError(3)"


def test_a_task_awaits_what_runs_without_one():
    async def ask(answer: Pending[int]) -> int:
        return await answer + 1

    async def work() -> None:
        right, wrong = Pending[int](), Pending[int]()
        both = [in_task(ask(right)), in_task(ask(wrong))]
        right.set(1)
        wrong.fail(ValueError("no"))
        assert await both[0] == 2
        with pytest.raises(ValueError, match="no"):
            await both[1]

    assert in_loop(work()) == []


def test_a_task_that_is_cancelled_leaves_what_it_asked_for_to_its_end():
    ended: list[int] = []

    async def ask(answer: Pending[int]) -> None:
        ended.append(await answer)

    async def work() -> None:
        answers = [Pending[int](), Pending[int]()]
        for answer in answers:
            asking = in_task(ask(answer))
            asking.cancel()
        answers[0].set(1)
        answers[1].fail(ValueError("no"))
        assert ended == [1]

    assert in_loop(work()) == []
