"""PostgreSQL: connections, locks, rights, passwords and settings.

Nobody can log in as superuser: the host's root opens a door in pg_hba.conf for that, and closes it.
"""

from __future__ import annotations

from twinstack.drill.catalogue.commands import reconnected
from twinstack.drill.catalogue.probes import ORDER
from twinstack.drill.drill import Drill

#: /usr/bin/psql is a script that needs more of Perl than there is.
_PSQL = "/usr/lib/postgresql/$(ls {postgres-db.root}/usr/lib/postgresql)/bin/psql"
_HBA = "{postgres-db.data}/pg_hba.conf"
_READ_AGAIN = "kill -HUP {postgres-db.pid}; sleep 0.5"
_ORDERS = reconnected("order-service")
_AGAIN = "rm -f {postgres-db.data}/.contents; kill -INT {postgres-db.pid}"


def _as_superuser(*sql: str) -> str:
    """Write the command that opens the door, runs SQL, and closes the door again."""
    statements = " ".join(f"-c '{each}'" for each in sql)
    return (
        f"echo 'local shop postgres trust' >> {_HBA}; {_READ_AGAIN};"
        " nsenter --target {postgres-db.pid} --mount --setuid {postgres-db.user} --setgid"
        f" {{postgres-db.user}} {_PSQL} -qXh /tmp -U postgres {statements} shop; result=$?;"
        f" sed -i '/ postgres trust$/d' {_HBA}; {_READ_AGAIN}; exit $result"
    )


def _job(name: str, replica: str, lines: str) -> str:
    """Write the command that starts a forgotten job beside a replica, with the password it has."""
    return (
        f"setsid nsenter --target {{{replica}.pid}} --net --mount --setuid {{{replica}.user}}"
        f" --setgid {{{replica}.user}} env PYTHONPATH=/srv/twinstack/site /usr/bin/python3 -c '\n"
        "import time, psycopg2\n"
        'password = open("/run/secrets/postgres_password").read()\n'
        'where = dict(host="postgres-db", dbname="shop", connect_timeout=2, password=password)\n'
        f"{lines}' {name}-{{instance}} < /dev/null > /dev/null 2>&1 &"
    )


def _end(name: str) -> str:
    """Write the command that ends a job; the brackets keep the pattern from finding itself."""
    return f"kill $(pgrep -f '{name[:-1]}[{name[-1]}]-{{instance}}$')"


_REPORT = _job(
    "sales-report",
    "product-service-3",
    "held = []\n"
    "while True:\n"
    "    try:\n"
    '        held.append(psycopg2.connect(user="product-service", **where))\n'
    "    except psycopg2.Error:\n"
    "        time.sleep(0.1)\n",
)
_COUNT = _job(
    "stock-count",
    "order-service",
    "while True:\n"
    "    try:\n"
    '        link = psycopg2.connect(user="order-service", **where)\n'
    "        cursor = link.cursor()\n"
    '        cursor.execute("SELECT FROM products FOR UPDATE")\n'
    "        while not time.sleep(0.2):\n"
    '            cursor.execute("SELECT 1")\n'
    "    except psycopg2.Error:\n"
    "        time.sleep(0.1)\n",
)
_IDLE = "idle_in_transaction_session_timeout"
_REJECT = "OUTPUT -p tcp --dport 5432 -j REJECT --reject-with tcp-reset"
_TRUSTED = "/order-service. all trust$/d"
_READ_ONLY = "default_transaction_read_only"
_WRITING = f"SET {_READ_ONLY} = off"  # a superuser's session begins with it as well

DRILLS = (
    Drill(
        name="too-many-clients",
        area="postgres",
        level=4,
        restart="order-service",
        symptom="Nobody can order since order-service was restarted: 503. Products are as ever, and"
        " PostgreSQL is healthy.",
        probes=(ORDER,),
        put=(_REPORT, "sleep 4; kill {order-service.pid}"),
        hints=(
            (
                "order-service's log has PostgreSQL's answer. Who kept a connection goes on; who"
                " needs a new one gets none."
            ),
            (
                "Sixty connections are allowed. Who has them? {postgres-db.enter} ss -tn state"
                " established '( sport = :5432 )', counted by the peer's address."
            ),
            (
                "One address has far more than its two threads need. {product-service-3.enter} ss"
                " -tnp dport = :5432 names the process: it is not the service."
            ),
        ),
        repair=(_end("sales-report"),),
        explanation=(
            "A forgotten job beside product-service-3, with that service's password, held every"
            " connection that max_connections leaves. Whoever had a connection kept it: the fault"
            " showed at the next restart of someone else. More connections, or a restart of"
            " PostgreSQL, give the job more to take; to cut product-service-3 off ends one replica"
            " too many."
        ),
        wrong=(
            f"{{product-service-3.enter}} iptables -I {_REJECT}",
            "kill -INT {postgres-db.pid}",
        ),
        refusal="product-service-3",
        undo=(
            f"{{product-service-3.enter}} iptables -D {_REJECT}",
            _end("sales-report"),
        ),
    ),
    Drill(
        name="stock-count",
        area="postgres",
        level=2,
        restart="postgres-db",
        symptom="Whoever orders waits for seconds, then is told that the shop is busy: 409. The"
        " catalogue and the carts are quick.",
        probes=(ORDER,),
        put=(_COUNT,),
        hints=(
            "The answer says database_busy: PostgreSQL is there, and lets an order wait. For what?",
            (
                "An order locks the rows of what it sells. Who holds them? `ps` shows what each of"
                " PostgreSQL's processes does, and for whom."
            ),
            (
                "One session is `idle in transaction` and stays so. Its port in that line leads to"
                " its client: {order-service.enter} ss -tnp dport = :5432."
            ),
        ),
        repair=(_end("stock-count"),),
        explanation=(
            "A job had locked all products (SELECT … FOR UPDATE) and kept its transaction open."
            " Readers are not held up by that, whoever changes a row is: hence quick pages and"
            " slow orders. To end only its session, or PostgreSQL, does not help: the job connects"
            " again. To have PostgreSQL end idle transactions of this role hides the job, which"
            " locks everything again and again."
        ),
        wrong=(
            _as_superuser(f'ALTER ROLE "order-service" SET {_IDLE} = 50'),
            _ORDERS,
        ),
        refusal=_IDLE,
        undo=(
            _end("stock-count"),
            _as_superuser(f'ALTER ROLE "order-service" RESET {_IDLE}'),
        ),
    ),
    Drill(
        name="revoked-grant",
        area="postgres",
        level=2,
        restart="postgres-db",
        symptom="Nobody can order: something unexpected went wrong, 500. Carts and catalogue are as"
        " ever.",
        probes=(ORDER,),
        put=(_as_superuser('REVOKE UPDATE (stock) ON products FROM "order-service"'),),
        hints=(
            "order-service's log has PostgreSQL's words: what may it not do?",
            (
                "It reads products, and may not lock them to take from the stock. Which right does"
                " SELECT … FOR UPDATE need? services/stores/rights.sql says what it ought to have."
            ),
            (
                "Nobody can log in as superuser, but root can open a door: a line `local shop"
                " postgres trust` in pg_hba.conf, SIGHUP, psql -h /tmp -U postgres shop; and close"
                " it again. Or remove {postgres-db.data}/.contents: postgres.sh then applies all"
                " rights at its next start."
            ),
        ),
        repair=(_as_superuser('GRANT UPDATE (stock) ON products TO "order-service"'),),
        explanation=(
            "The right to change the column stock was gone, and with it the right to lock a row"
            " (SELECT FOR UPDATE needs UPDATE on a column at least). A restart applies the rights"
            " only when their file has changed. GRANT UPDATE ON products TO PUBLIC ends the"
            " symptom, and lets every service set every price."
        ),
        wrong=(_as_superuser("GRANT UPDATE ON products TO PUBLIC"),),
        refusal="rights on products",
        undo=(
            _as_superuser(
                "REVOKE UPDATE ON products FROM PUBLIC",
                'GRANT UPDATE (stock) ON products TO "order-service"',
            ),
        ),
    ),
    Drill(
        name="forgotten-password",
        area="postgres",
        level=4,
        restart="postgres-db",
        symptom="Nobody can order: 503. The order service's password is the one that it always had,"
        " and PostgreSQL says that it is wrong.",
        probes=(ORDER,),
        put=(_as_superuser('ALTER ROLE "order-service" PASSWORD NULL'), _ORDERS),
        hints=(
            "PostgreSQL's log says more than its client is told: why did the login fail?",
            (
                "PostgreSQL checks a password by what it stored of it. Where is the source of that?"
                " {postgres-db.secrets} has one file, and services/stores/postgres.sh reads it."
            ),
            (
                "postgres.sh applies it at a start, but only if {postgres-db.data}/.contents"
                " differs from what it would apply."
            ),
        ),
        repair=(_AGAIN,),
        explanation=(
            "The role order-service had no password any more: PostgreSQL then refuses every one"
            " ('User \"order-service\" has no password assigned', in its own log only). postgres.sh"
            " sets the roles' passwords at a start if the file .contents says that something"
            " changed, which it could not know; without that file it applies all again. `trust` in"
            " pg_hba.conf would let everybody who reaches the port be order-service."
        ),
        wrong=(
            f"sed -i '1i host shop order-service all trust' {_HBA}",
            _READ_AGAIN,
        ),
        refusal="pg_hba.conf",
        undo=(f"sed -i '{_TRUSTED}' {_HBA}", _AGAIN),
    ),
    Drill(
        name="read-only-database",
        area="postgres",
        level=3,
        restart="postgres-db",
        symptom="Nobody can order since the last backup. Everything can be looked at.",
        probes=(ORDER,),
        put=(_as_superuser(f"ALTER DATABASE shop SET {_READ_ONLY} = on"), _ORDERS),
        hints=(
            "order-service's log has PostgreSQL's words: in what kind of transaction is it?",
            (
                "Nobody asked for that in the session. What gives a new session its settings? The"
                " server's configuration, the database, the role."
            ),
            (
                "psql: \\drds, or SELECT * FROM pg_db_role_setting. A setting counts for sessions"
                " that begin after it, a superuser's too: set it off in yours before you change it."
            ),
        ),
        repair=(_as_superuser(_WRITING, f"ALTER DATABASE shop RESET {_READ_ONLY}"), _ORDERS),
        explanation=(
            f"The database had the setting {_READ_ONLY} = on, which a backup had set and not taken"
            " back. Each new session begins with it; a restart changes nothing. To set it off for"
            " the role of order-service wins over the database's, and leaves the trap for"
            " everybody else."
        ),
        wrong=(
            _as_superuser(_WRITING, f'ALTER ROLE "order-service" SET {_READ_ONLY} = off'),
            _ORDERS,
        ),
        refusal=_READ_ONLY,
        undo=(
            _as_superuser(
                _WRITING,
                f"ALTER DATABASE shop RESET {_READ_ONLY}",
                f'ALTER ROLE "order-service" RESET {_READ_ONLY}',
            ),
            _ORDERS,
        ),
    ),
)
