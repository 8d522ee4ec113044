"""Redis and PostgreSQL as the worlds run them, from their root trees, on ports of their own.

Each runs unprivileged in a mount namespace of its own; its data are in a directory of the test's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from services.common import database
from tests.support.gateway_parts import closed_port
from tests.support.project import ROOT
from twinstack.model.runtimes import Role
from twinstack.stack import Stack

USER = 30060
PASSWORD = "a-test's-password"
#: $1 tree, $2 directory of data and secrets, $3 repository, then the command
_IN_TREE = f"""
tree=$1 own=$2 repository=$3; shift 3
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount --bind "$own/tmp" "$tree/tmp"
mount --bind "$own/data" "$tree/var/lib/postgresql/data"
mount --bind "$own/secrets" "$tree/run/secrets"
mount --bind "$repository" "$tree/srv/twinstack"
exec setpriv --pdeathsig KILL chroot --userspec={USER}:{USER} "$tree" /usr/bin/env -i \
    PATH=/usr/bin:/bin LANG=C.UTF-8 "$@"
"""


@dataclass
class Store:
    """One store's process, which a test kills, freezes and starts again."""

    port: int
    answers: Callable[[int], bool]
    _words: list[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not self.answers(self.port):
            assert self._process.poll() is None, f"{self._words} has ended"
            assert time.monotonic() < deadline, f"{self._words} does not answer"
            time.sleep(0.02)

    def send(self, signum: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            while _accepts(self.port):  # PostgreSQL's children end after it.
                time.sleep(0.02)
            self._process = None


@dataclass(frozen=True)
class Stores:
    """Both stores, and the environment of a service that uses them."""

    redis: Store
    postgres: Store
    environment: dict[str, str]

    @contextmanager
    def transaction(self) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
        """Run statements in one transaction of our own, which is committed at the end."""
        connection = _connect(self.postgres.port)

        def execute(statement: str, *values: object) -> list[tuple[Any, ...]]:
            _may_wait()
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

        try:
            yield execute
            _may_wait()
            connection.commit()
        finally:
            connection.close()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement, and commit it."""
        with self.transaction() as execute:
            return execute(statement, *values)


@contextmanager
def real_stores() -> Iterator[Stores]:
    """Run both stores while the block lasts. Needs root, and what the worlds run on."""
    roots, _ = Stack("main", ROOT / "topology.yml").software(print)
    with ExitStack() as undo:
        own = Path(tempfile.mkdtemp(prefix="twinstack-stores-", dir="/tmp"))
        undo.callback(shutil.rmtree, own, ignore_errors=True)
        own.chmod(0o711)
        for name in ("tmp", "data", "secrets"):
            (own / name).mkdir(mode=0o700)
            os.chown(own / name, USER, USER)
        for name in ("postgres_password", "session_password"):
            (own / "secrets" / name).write_text(PASSWORD)
            os.chown(own / "secrets" / name, USER, USER)

        def store(role: Role, answers: Callable[[int], bool], port: int, *command: str) -> Store:
            words = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _IN_TREE, "sh"]
            tree = str(roots.tree(role))
            made = Store(port, answers, [*words, tree, str(own), str(ROOT), *command])
            undo.callback(made.kill)
            made.start()
            return made

        port = closed_port()
        keep = f"--port {port} --bind 127.0.0.1 --dir /tmp --appendonly yes"
        redis = store("redis", _pongs, port, "redis-server", "--save", "", *keep.split())
        port = closed_port()
        run = ("bash", "/srv/twinstack/services/stores/postgres.sh")
        variables = (f"POSTGRES_PORT={port}", "PGDATA=/var/lib/postgresql/data")
        postgres = store("postgres", _takes_logins, port, *variables, *run)
        yield Stores(
            redis,
            postgres,
            {
                "TWINSTACK_ADDRESS": "127.0.0.1",
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis.port),
                "POSTGRES_HOST": "127.0.0.1",
                "POSTGRES_PORT": str(postgres.port),
                "SECRETS_DIR": str(own / "secrets"),
                "REGISTRY_URL": "http://127.0.0.1:1",
                "LOG_REQUESTS": "0",
            },
        )


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _pongs(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as link:
        link.sendall(b"PING\r\n")
        return link.recv(100).startswith(b"+PONG")
    return False


def _takes_logins(port: int) -> bool:
    try:
        _connect(port).close()
    except psycopg2.OperationalError:
        return False
    return True


def _connect(port: int) -> psycopg2.extensions.connection:
    _may_wait()
    return psycopg2.connect(
        host="127.0.0.1", port=port, user="shop", dbname="shop", password=PASSWORD
    )


def _may_wait() -> None:
    """Let this thread wait for PostgreSQL: the services' own bound is psycopg2's everywhere."""
    database._deadline.at = time.monotonic() + 30
