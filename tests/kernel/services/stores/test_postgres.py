"""PostgreSQL's entry point: checksums, a login for each service, data that outlive a version."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests.support.project import ROOT
from tests.support.real_stores import (
    PASSWORD,
    USER,
    Store,
    connect,
    postgres_process,
    write_all,
)
from twinstack.model.runtimes import POSTGRES_DATA
from twinstack.observe.fingerprint import read as fingerprint
from twinstack.stack import Stack

pytestmark = pytest.mark.kernel
LOGINS = {"product-service": "p", "order-service": "o", "postgres": PASSWORD}
#: As an earlier version made it: without checksums, every service the tables' owner.
OLD = r"""
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
initdb -D "$PGDATA" -U postgres --auth=reject --encoding=UTF8 --locale=C.UTF-8 \
    --no-sync >/dev/null
sql() { postgres --single -j -D "$PGDATA" -c fsync=off -c exit_on_error=on "$1" >/dev/null; }
sql postgres <<'END'
CREATE ROLE shop LOGIN PASSWORD 'old';

CREATE DATABASE shop OWNER shop;

END
{ printf 'SET ROLE shop;\n\n'; cat /srv/twinstack/services/stores/schema.sql
  printf "\n\nUPDATE products SET stock = 7 WHERE id = 3;\n\n"; } | sql shop
printf old >"$PGDATA/.password"; printf old >"$PGDATA/.schema"
"""


@pytest.fixture
def own(software: None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="twinstack-stores-", dir="/tmp") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory) / "postgres"


@contextmanager
def started(own: Path, logins: dict[str, str] = LOGINS) -> Iterator[Store]:
    store = postgres_process(own, logins)
    try:
        store.start()
        yield store
    finally:
        store.kill()


def asked(store: Store, statement: str, user: str = "postgres") -> list[tuple[object, ...]]:
    connection = connect(store.port, user, LOGINS[user])
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    finally:
        connection.close()


def test_a_new_cluster_has_checksums_and_keeps_them(own: Path) -> None:
    for _ in range(2):
        with started(own) as store:
            assert asked(store, "SHOW data_checksums") == [("on",)]


def test_a_cluster_of_an_earlier_version_keeps_its_data_and_gets_checksums(own: Path) -> None:
    write_all(own / "data", {})
    write_all(own / "tmp", {})
    tree = Stack("main", ROOT / "topology.yml").software(print)[0].tree("postgres")
    inside = (
        f'mount --rbind /dev "$0/dev"; mount --bind {own}/data "$0{POSTGRES_DATA}"; '
        f'mount --bind {own}/tmp "$0/tmp"; mount --bind {ROOT} "$0/srv/twinstack"; '
        'exec chroot --userspec=30060:30060 "$0" /usr/bin/env -i PATH=/usr/bin:/bin '
        f'PGDATA={POSTGRES_DATA} bash -euc "$1"'
    )
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", inside, str(tree), OLD]
    subprocess.run(words, check=True, timeout=60)
    with started(own) as store:
        assert asked(store, "SHOW data_checksums") == [("on",)]
        stock = "SELECT stock FROM products WHERE id = 3"
        assert asked(store, stock, "product-service") == [(7,)]
    log = (own / "data").iterdir()
    assert not {".password", ".schema"} & {path.name for path in log}


def test_a_kill_and_a_changed_password_cost_nothing(own: Path) -> None:
    with started(own) as store:
        asked(store, "SELECT 1", "order-service")
        store.send(signal.SIGKILL)
    with started(own, {**LOGINS, "order-service": "another"}) as store:
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            asked(store, "SELECT 1", "order-service")
        connect(store.port, "order-service", "another").close()
        assert asked(store, "SELECT count(*) FROM products", "product-service") == [(24,)]


def test_nobody_comes_in_but_the_services(own: Path) -> None:
    services = {name: LOGINS[name] for name in ("product-service", "order-service")}
    with started(own, services) as store:
        for user in ("shop", "postgres", "monitor", "order-service"):
            with pytest.raises(psycopg2.OperationalError):
                connect(store.port, user, "p").close()
        assert asked(store, "SELECT current_user", "product-service") == [("product-service",)]


def test_the_stores_own_user_counts_rows_and_reads_settings_without_a_password(own: Path) -> None:
    with started(own) as store:
        enter = f"nsenter --target {store.pid} --net --mount --root --setgid {USER} --setuid {USER}"
        words = [*enter.split(), "--", "/bin/bash", "-c", fingerprint._PSQL]
        done = subprocess.run(
            words,
            env={**os.environ, "PGPORT": str(store.port)},
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    assert {"rows.products=24", "rows.orders=0", "data_checksums=on"} <= set(done.stdout.split())
