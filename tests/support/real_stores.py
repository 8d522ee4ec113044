"""Redis and PostgreSQL as the worlds run them, from their root trees, on ports of their own.

Each runs unprivileged in a mount namespace of its own; its data are in a directory of the test's.
Services log in as themselves, with the rights that they have in the worlds; tests as superusers.
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
from redis import Redis

from services.common import database
from tests.support.core_cases import planned
from tests.support.gateway_parts import closed_port
from tests.support.project import ROOT
from twinstack.model.runtimes import POSTGRES_DATA, REDIS_CONF, REDIS_DATA, Role
from twinstack.software.configs import redis_conf
from twinstack.software.secrets import OPERATOR, postgres_roles, redis_acl
from twinstack.stack import Stack

USER = 30060
PASSWORD = "a-test's-password"
SERVICES = ("product-service", "order-service")
STORES = ("redis", "postgres")
#: $1 tree, $2 the store's own directories, $3 where its data are, $4 repository, then the command
_IN_TREE = f"""
tree=$1 own=$2 data=$3 repository=$4; shift 4
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
for place in tmp run/secrets etc/redis; do
    [ ! -d "$own/$place" ] || mount --bind "$own/$place" "$tree/$place"
done
mount --bind "$own/data" "$tree$data"
mount --bind "$repository" "$tree/srv/twinstack"
exec setpriv --pdeathsig KILL chroot --userspec={USER}:{USER} "$tree" /usr/bin/env -i \
    PATH=/usr/bin:/bin LANG=C.UTF-8 "$@"
"""


@dataclass
class Store:
    """One store's process, which a test kills, freezes and starts again."""

    port: int
    answers: Callable[[int], bool]
    output: Path
    _words: list[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, again if it ends, as a supervisor does: what a killed one left may go on."""
        self._run()
        deadline = time.monotonic() + 30
        while not self.answers(self.port):
            if self._process is None or self._process.poll() is not None:
                time.sleep(0.2)
                self._run()
            assert time.monotonic() < deadline, f"no answer: {self.output.read_text()[-2000:]}"
            time.sleep(0.02)

    def _run(self) -> None:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(self._words, stdout=output, stderr=output)

    def send(self, signum: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            while _accepts(self.port):  # PostgreSQL's children end after it.
                time.sleep(0.02)
            self._process = None


@dataclass(frozen=True)
class Stores:
    """Both stores, and the directory of the services' secrets."""

    redis: Store
    postgres: Store
    secrets: Path

    @property
    def environment(self) -> dict[str, str]:
        """The order service's environment."""
        return self.environment_of("order-service")

    def environment_of(self, service: str) -> dict[str, str]:
        return {
            "TWINSTACK_ADDRESS": "127.0.0.1",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis.port),
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.postgres.port),
            "SECRETS_DIR": str(self.secrets / service),
            "REGISTRY_URL": "http://127.0.0.1:1",
            "LOG_REQUESTS": "0",
        }

    def redis_client(self) -> Redis:
        """Give a client that may do everything."""
        return Redis(port=self.redis.port, username="test", password=PASSWORD)

    @contextmanager
    def transaction(self) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
        """Run statements in one transaction of our own, which is committed at the end."""
        connection = connect(self.postgres.port)

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
def real_stores(redis_options: str = "") -> Iterator[Stores]:
    """Run both stores while the block lasts. Needs root, and what the worlds run on.

    Redis runs as configured, but for these options.
    """
    with ExitStack() as undo:
        # In memory: a commit waits for whatever else is being written to the disk.
        own = Path(tempfile.mkdtemp(prefix="twinstack-stores-", dir="/dev/shm"))
        undo.callback(shutil.rmtree, own, ignore_errors=True)
        own.chmod(0o711)
        for service in SERVICES:
            own_secrets = {f"{store}_password": service + PASSWORD for store in STORES}
            write_all(own / "secrets" / service, {**own_secrets, "session_password": PASSWORD})
        passwords = {service: service + PASSWORD for service in SERVICES}
        cache = redis_process(own / "redis", passwords, redis_options)
        undo.callback(cache.kill)
        cache.start()
        postgres = postgres_process(own / "postgres", {**passwords, "postgres": PASSWORD})
        undo.callback(postgres.kill)
        postgres.start()
        yield Stores(cache, postgres, own / "secrets")


def redis_process(own: Path, passwords: dict[str, str], options: str = "") -> Store:
    """Give Redis with these users, not yet started; `own` holds its data."""
    port = closed_port()
    acl = redis_acl({**passwords, OPERATOR: OPERATOR + PASSWORD})
    acl += f"user test on >{PASSWORD} allkeys allchannels +@all\n"
    write_all(own / "run/secrets", {"redis.acl": acl})
    write_all(own / "etc/redis", {"redis.conf": redis_conf(planned().replica("redis-cache"))})
    words = f"redis-server {REDIS_CONF} --port {port} --bind 127.0.0.1 {options}"
    return _store("redis", own, REDIS_DATA, port, _pongs, words.split())


def postgres_process(own: Path, passwords: dict[str, str]) -> Store:
    """Give PostgreSQL with these logins, not yet started; `own` holds its data."""
    port = closed_port()
    write_all(own / "run/secrets", {"postgres.roles": postgres_roles(passwords)})
    variables = (f"POSTGRES_PORT={port}", f"PGDATA={POSTGRES_DATA}")
    run = ("bash", "/srv/twinstack/services/stores/postgres.sh")
    return _store("postgres", own, POSTGRES_DATA, port, _asks, [*variables, *run])


def _store(
    role: Role,
    own: Path,
    data: str,
    port: int,
    answers: Callable[[int], bool],
    command: list[str],
) -> Store:
    roots, _ = Stack("main", ROOT / "topology.yml").software(print)
    for name in ("tmp", "data"):
        write_all(own / name, {})
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _IN_TREE, "sh"]
    places = [str(roots.tree(role)), str(own), data, str(ROOT)]
    return Store(port, answers, own / "output", [*words, *places, *command])


def write_all(directory: Path, texts: dict[str, str]) -> None:
    """Write files into a directory, all of it the stores' user's."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text)
    for path in (directory, *(directory / name for name in texts)):
        os.chown(path, USER, USER)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _pongs(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as link:
        link.sendall(b"AUTH health none\r\nPING\r\n")
        answers = link.makefile("rb")
        return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
    return False


def _asks(port: int) -> bool:
    try:
        connect(port).close()
    except psycopg2.OperationalError as error:
        text = str(error)
        return "FATAL" in text and not ("starting up" in text or "not yet accepting" in text)
    return True


def connect(
    port: int, user: str = "postgres", password: str = PASSWORD
) -> psycopg2.extensions.connection:
    """Log in to PostgreSQL."""
    _may_wait()
    return psycopg2.connect(
        host="127.0.0.1", port=port, user=user, dbname="shop", password=password
    )


def _may_wait() -> None:
    """Let this thread wait for PostgreSQL: the services' own bound is psycopg2's everywhere."""
    database._deadline.at = time.monotonic() + 30
