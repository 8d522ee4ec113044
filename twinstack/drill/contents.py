"""What PostgreSQL holds of itself, and the registry of others: rights, settings, leases.

Redis is left out: what can be set in it while it runs, nobody may set, and its files are compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from twinstack.linux import procfs
from twinstack.linux.process import run
from twinstack.model.plan import Plan, Replica
from twinstack.model.runtimes import REGISTRY
from twinstack.model.topology import WorldName

#: An instance asks for six seconds; a longer lease was not asked for by an instance.
_LEASE_S = 6.0
_TIMEOUT_S = 5.0
#: Each row: what, and its value. `monitor` may read all of these.
_SQL = """
WITH held AS (
    SELECT 'rights on ' || relname AS what, (aclexplode(relacl)).*
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL
    SELECT 'rights on ' || relname || '.' || attname, (aclexplode(attacl)).*
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace
)
SELECT what, string_agg(
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END || ' ' || privilege_type,
    ', ' ORDER BY grantee::regrole::text, privilege_type)
FROM held GROUP BY what
UNION ALL
SELECT 'setting of ' || coalesce(datname, 'every database') || ' and '
    || coalesce(rolname, 'every role') || ': ' || split_part(setting, '=', 1), setting
FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
    LEFT JOIN pg_database ON pg_database.oid = setdatabase
    LEFT JOIN pg_roles ON pg_roles.oid = setrole
UNION ALL
SELECT 'setting ' || name, setting FROM pg_settings
WHERE source NOT IN ('default', 'override', 'client', 'session', 'database', 'user')
UNION ALL
SELECT 'role ' || rolname, concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolcanlogin,
    rolbypassrls, rolconnlimit, (SELECT string_agg(roleid::regrole::text, ' ' ORDER BY 1)
    FROM pg_auth_members WHERE member = pg_roles.oid))
FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%'
UNION ALL
SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
"""


def tables_of(
    plan: Plan, world: WorldName, pids: dict[str, int]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the table of each replica that holds one, by its main process; of none that is down."""
    for name, pid in pids.items():
        replica = plan.replica(name)
        if replica.runtime == "postgres":
            yield name, _postgres(replica, pid)
        elif replica.service == REGISTRY:
            yield name, dict(registered(plan, world, _registry(replica, pid)))


def _postgres(replica: Replica, pid: int) -> dict[str, str]:
    user = f"--setuid {replica.user} --setgid {replica.user}"
    enter = f"nsenter --target {pid} --mount {user} --".split()
    versions = procfs.PROC / str(pid) / "root/usr/lib/postgresql"
    try:
        psql = f"/usr/lib/postgresql/{next(versions.iterdir()).name}/bin/psql"
    except (OSError, StopIteration):
        return {}
    query = [*enter, psql, "-qXAt", "-F|", "-h/tmp", "-Umonitor", "-c", _SQL, "shop"]
    done = run(query, check=False, timeout_s=_TIMEOUT_S)
    rows = (line.partition("|") for line in done.stdout.splitlines())
    return {what: value for what, _, value in rows}


def _registry(replica: Replica, pid: int) -> Any:
    """Give the registry's answer; {} when it does not answer."""
    url = f"http://127.0.0.1:{replica.port}/v1/services"
    words = ["nsenter", f"--net=/proc/{pid}/ns/net", "curl", "-s", "-m", f"{_TIMEOUT_S:g}", url]
    done = run(words, check=False, timeout_s=2 * _TIMEOUT_S)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return {}


def registered(
    plan: Plan, world: WorldName, answer: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Give each registered instance that did not register itself, as it is declared. Pure."""
    declared = {each.name: (str(each.address_in(world)), each.port) for each in plan.replicas}
    for instances in answer.get("services", {}).values():
        for each in instances:
            at = each["address"], each["port"]
            if each["expires_in_s"] > _LEASE_S:
                yield f"lease of {each['instance']}", "longer than any instance asks for"
            if declared.get(each["instance"]) != at:
                yield f"registered {each['instance']}", f"{at[0]}:{at[1]}"
