"""PostgreSQL for a threaded service: a small pool, and a bound on every wait.

libpq alone can wait for ever on a server that is stopped or cut off, so every wait goes through
`_wait`, which ends at a deadline. A failed connection is closed together with the idle ones (they
are as old), and the next call connects again.

PostgreSQL itself gives up before that, first a wait for a lock, then a slow statement: such a
failure is of what was asked for alone, and the breaker stays closed.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg2
from psycopg2 import errors, extensions

from services.common.call_stats import POSTGRES, CallStats
from services.common.failures import Breaker, DatabaseBusy, DatabaseDown, OutcomeUnknown
from services.common.settings import Settings

CONNECT_TIMEOUT_S = 1.0
LOCK_TIMEOUT_S = 0.5
STATEMENT_TIMEOUT_S = 2.0
WORK_TIMEOUT_S = 3.0
#: Of a client that is frozen within a transaction: its locks are free after that.
IDLE_IN_TRANSACTION_S = 1.0
PING_TIMEOUT_S = 1.0
REST_S = 0.5
IDLE_KEPT = 8
CONFLICT_TRIES = 4
#: PostgreSQL's own failures; any other exception is the caller's, raised after an answer.
_FAILURES = (DatabaseDown, OutcomeUnknown, psycopg2.Error)
_CONFLICTS = (errors.DeadlockDetected, errors.SerializationFailure)  # a kind of _BROKEN
_SLOW = (errors.LockNotAvailable, errors.QueryCanceled)  # likewise
#: The last is its word for a file that it cannot write for a reason that has no code of its own.
_BROKEN = (psycopg2.OperationalError, psycopg2.InterfaceError, errors.InternalError_)

T = TypeVar("T")
Cursor = extensions.cursor
Work = Callable[[Cursor], T]


class _TooLate(psycopg2.OperationalError):
    pass


_deadline = threading.local()


def _wait(connection: extensions.connection) -> None:
    """Wait for libpq, up to this thread's deadline. Source: psycopg2 set_wait_callback."""
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        left_s = getattr(_deadline, "at", 0.0) - time.monotonic()
        if left_s <= 0:
            raise _TooLate("no answer in time")
        poller = select.poll()
        readable = state == extensions.POLL_READ
        poller.register(connection.fileno(), select.POLLIN if readable else select.POLLOUT)
        poller.poll(left_s * 1000)


extensions.set_wait_callback(_wait)


class Database:
    """A pool of connections to one PostgreSQL server."""

    def __init__(self, settings: Settings, calls: CallStats) -> None:
        self._settings = settings
        self._calls = calls
        self._lock = threading.Lock()
        self._idle: list[extensions.connection] = []
        self.breaker = Breaker(REST_S, DatabaseDown)

    def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads: each statement on its own, without a transaction.

        Raises: DatabaseDown, DatabaseBusy.
        """
        return self._counted(work, transaction=False)

    def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction and commit it; roll back if it raises.

        `work` runs again, on a fresh transaction, after a deadlock or a stale connection.
        Raises: DatabaseDown, DatabaseBusy, OutcomeUnknown, and whatever `work` raises.
        """
        for _ in range(CONFLICT_TRIES - 1):
            with contextlib.suppress(*_CONFLICTS):
                return self._counted(work, transaction=True)
        return self._counted(work, transaction=True)

    def ping(self) -> None:
        self.breaker.enter()
        self._run(lambda cursor: cursor.execute("SELECT 1"), PING_TIMEOUT_S, transaction=False)

    def _counted(self, work: Work[T], transaction: bool) -> T:
        self.breaker.enter()
        with self._calls.timed(POSTGRES, _FAILURES):
            return self._run(work, WORK_TIMEOUT_S, transaction)

    def _run(self, work: Work[T], timeout_s: float, transaction: bool) -> T:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is not None:
                try:
                    return self._use(connection, work, timeout_s, transaction)
                except _BROKEN as error:
                    if isinstance(error, (*_CONFLICTS, _TooLate)) or not connection.closed:
                        raise
                    self._forget_idle()  # Stale: PostgreSQL was restarted. Reconnect once.
            return self._use(self._connect(), work, timeout_s, transaction)
        except _CONFLICTS:
            raise
        except _BROKEN as error:
            if isinstance(error, _SLOW):
                self.breaker.succeeded()
            else:
                self.breaker.failed()
                self._forget_idle()
            if isinstance(error, errors.LockNotAvailable):
                raise DatabaseBusy(_reason(error)) from error
            raise DatabaseDown(_reason(error)) from error

    def _use(
        self, connection: extensions.connection, work: Work[T], timeout_s: float, transaction: bool
    ) -> T:
        _deadline.at = time.monotonic() + timeout_s
        try:
            if connection.autocommit is transaction:
                connection.autocommit = not transaction
            with connection.cursor() as cursor:
                result = work(cursor)
            if transaction:
                self._commit(connection)
        except BaseException as error:
            self._give_back(connection, roll_back=True)
            if not isinstance(error, psycopg2.Error | OutcomeUnknown):
                self.breaker.succeeded()  # The caller's own refusal; PostgreSQL answered.
            raise
        self._give_back(connection, roll_back=False)
        self.breaker.succeeded()
        return result

    def _commit(self, connection: extensions.connection) -> None:
        try:
            connection.commit()
        except _CONFLICTS:
            raise
        except _BROKEN as error:
            self.breaker.failed()
            raise OutcomeUnknown(_reason(error)) from error

    def _give_back(self, connection: extensions.connection, roll_back: bool) -> None:
        if roll_back and not connection.closed:
            _deadline.at = time.monotonic() + CONNECT_TIMEOUT_S
            try:
                connection.rollback()
            except psycopg2.Error:
                connection.close()
        if connection.closed:
            return
        with self._lock:
            if len(self._idle) < IDLE_KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def _forget_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self) -> extensions.connection:
        settings = self._settings
        _deadline.at = time.monotonic() + CONNECT_TIMEOUT_S
        return psycopg2.connect(
            host=settings.postgres_host,
            port=settings.postgres_port,
            user=settings.postgres_user,
            dbname=settings.postgres_db,
            password=settings.secret("postgres_password"),
            application_name=settings.replica,
            sslmode="disable",
            gssencmode="disable",
            options=f"-c lock_timeout={_ms(LOCK_TIMEOUT_S)}"
            f" -c statement_timeout={_ms(STATEMENT_TIMEOUT_S)}"
            f" -c idle_in_transaction_session_timeout={_ms(IDLE_IN_TRANSACTION_S)}",
        )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
