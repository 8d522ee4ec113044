"""A PostgreSQL that cannot write is down for a request: a 503, and no error of the service's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from services.common.call_stats import CallStats
from services.common.database import Cursor, Database
from services.common.failures import Breaker, DatabaseDown
from services.common.settings import from_environment
from tests.support.real_stores import Stores

pytestmark = pytest.mark.kernel
SPILLS = "SELECT count(*) FROM (SELECT generate_series(1, 100000) ORDER BY 1 DESC) AS numbers"


def deny_files(cursor: Cursor) -> None:
    """Let this connection's backend write to no file."""
    cursor.execute("SELECT pg_backend_pid()")
    row = cursor.fetchone()
    assert row is not None
    owner = Path(f"/proc/{row[0]}").stat()
    # As its own user: root may lack CAP_SYS_RESOURCE.
    words = f"setpriv --reuid={owner.st_uid} --regid={owner.st_gid} --clear-groups"
    subprocess.run(f"{words} prlimit --pid={row[0]} --fsize=0:".split(), check=True)


def test_a_file_that_cannot_be_written_is_a_database_that_is_down(stores: Stores):
    environment = stores.environment_of("order-service")
    database = Database(from_environment("order-service", environment), CallStats())
    database.breaker = Breaker(0.0, DatabaseDown)

    def spill(cursor: Cursor) -> object:
        cursor.execute("SET LOCAL work_mem = '64kB'")
        deny_files(cursor)
        cursor.execute(SPILLS)
        return cursor.fetchone()

    with pytest.raises(DatabaseDown, match="could not write"):
        database.write(spill)
