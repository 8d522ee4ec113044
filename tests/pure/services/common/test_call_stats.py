"""What counts as a failure of PostgreSQL's or Redis' is theirs, not a caller's or a breaker's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from services.common.call_stats import CallStats
from services.common.database import CONFLICT_TRIES, Database
from services.common.failures import Breaker, DatabaseDown, OutcomeUnknown, RedisDown
from services.common.redis_store import RedisStore
from services.common.settings import from_environment

SETTINGS = from_environment(
    "order-service",
    {"TWINSTACK_ADDRESS": "127.0.0.1", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"},
)


class Refusal(Exception):
    """A caller's own: there is no stock, or the order was made before."""


class FakeConnection:
    """As much of a connection as is used."""

    def __init__(self, at_commit: Exception | None = None) -> None:
        self.autocommit = True
        self.closed = False
        self._at_commit = at_commit

    def cursor(self) -> FakeConnection:
        return self

    def __enter__(self) -> FakeConnection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def commit(self) -> None:
        if self._at_commit:
            raise self._at_commit

    def rollback(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def calls() -> CallStats:
    return CallStats()


def database(
    calls: CallStats, monkeypatch: pytest.MonkeyPatch, connect: Callable[[], Any]
) -> Database:
    store = Database(SETTINGS, calls)
    monkeypatch.setattr(store, "_connect", connect)
    return store


def sums(calls: CallStats) -> list[tuple[object, object]]:
    return [(sums["answers"], sums["failures"]) for sums in calls.document()]


def raising(error: Exception) -> Callable[[object], None]:
    def work(_: object) -> None:
        raise error

    return work


def test_a_callers_own_refusal_is_an_answer_of_postgresqls(calls, monkeypatch):
    store = database(calls, monkeypatch, FakeConnection)
    for act in (store.write, store.read):
        with pytest.raises(Refusal):
            act(raising(Refusal()))
    store.write(lambda _: None)
    assert sums(calls) == [(3, 0)]


@pytest.mark.parametrize(
    ("error", "raised", "failures"),
    [
        (psycopg2.OperationalError("gone"), DatabaseDown, 1),
        (errors.UniqueViolation("twice"), psycopg2.Error, 1),
        (errors.DeadlockDetected("knot"), psycopg2.Error, CONFLICT_TRIES),
    ],
)
def test_postgresqls_own_errors_are_failures(calls, monkeypatch, error, raised, failures: int):
    store = database(calls, monkeypatch, FakeConnection)
    with pytest.raises(raised):
        store.write(raising(error))
    assert sums(calls) == [(0, failures)]


def test_after_a_deadlock_work_runs_again_on_a_kept_connection_too(calls, monkeypatch):
    knots = [errors.DeadlockDetected("knot"), errors.SerializationFailure("knot"), None]
    store = database(calls, monkeypatch, FakeConnection)
    store.write(lambda _: None)

    def work(_: object) -> str:
        knot = knots.pop(0)
        if knot is not None:
            raise knot
        return "done"

    assert store.write(work) == "done"
    store.breaker.enter()  # closed
    assert sums(calls) == [(2, 2)]


def test_an_outcome_that_nobody_knows_is_a_failure(calls, monkeypatch):
    lost = psycopg2.OperationalError("gone")
    store = database(calls, monkeypatch, lambda: FakeConnection(lost))
    with pytest.raises(OutcomeUnknown):
        store.write(lambda _: None)
    assert sums(calls) == [(0, 1)]


def test_what_a_breaker_refuses_was_asked_of_nobody(calls, monkeypatch):
    def refuse() -> None:
        raise psycopg2.OperationalError("refused")

    postgres = database(calls, monkeypatch, refuse)
    postgres.breaker = Breaker(60.0, DatabaseDown)
    redis = RedisStore(SETTINGS, calls)
    redis.breaker = Breaker(60.0, RedisDown)
    for _ in range(3):
        for act in (postgres.read, postgres.write):
            with pytest.raises(DatabaseDown):
                act(lambda _: None)
        with pytest.raises(RedisDown):
            redis.get(b"key")
        with pytest.raises(DatabaseDown, match="a moment ago"):
            postgres.ping()
        with pytest.raises(RedisDown, match="a moment ago"):
            redis.ping()
    assert sums(calls) == [(0, 1), (0, 1)]


def test_calls_and_their_failures_are_added_up_across_threads() -> None:
    asked = CallStats()

    def ask() -> None:
        for _ in range(200):
            with asked.timed("redis"):
                pass

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(RedisDown), asked.timed("redis"):
        raise RedisDown("gone")
    with asked.timed("postgres"):
        time.sleep(0.01)
    postgres, redis = asked.document()
    assert list(postgres) == ["name", "answers", "failures", "busy_s"]
    assert (postgres["name"], postgres["answers"], postgres["failures"]) == ("postgres", 1, 0)
    assert isinstance(busy_s := postgres["busy_s"], float)
    assert 0.01 <= busy_s < 1
    assert (redis["name"], redis["answers"], redis["failures"]) == ("redis", 800, 1)


def test_a_redis_that_is_away_is_counted_but_not_when_health_asks() -> None:
    asked = CallStats()
    env = {"TWINSTACK_ADDRESS": "127.0.0.1", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    store = RedisStore(from_environment("product-service", env), asked)
    store.breaker = Breaker(0.0, RedisDown)  # else it would refuse what comes after a failure
    with pytest.raises(RedisDown):
        store.ping()
    assert asked.document() == []
    with pytest.raises(RedisDown):
        store.get(b"key")
    assert [(one["answers"], one["failures"]) for one in asked.document()] == [(0, 1)]
