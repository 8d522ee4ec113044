"""Redis: its memory, its role, its users, and what lies in it."""

from __future__ import annotations

from twinstack.drill.catalogue.commands import edited
from twinstack.drill.catalogue.probes import FILLED_CART
from twinstack.drill.drill import Drill

_CONF = "{redis-cache.config}"
_RESTART = "{runner} restart {redis-cache.unit}"
_ACL = "{redis-cache.secrets}/redis.acl"
_CLIENT = "nsenter --target {redis-cache.pid} --net --mount redis-cli"
_BLOCK = "INPUT ! -i lo -p tcp --dport 6379 -j REJECT --reject-with tcp-reset"
_ROUTER = (
    '{{"id":16,"sku":"RT-01","name":"Router board","category":"network","price_cents":84,'
    '"stock":5000,"description":"Five gigabit ports, 1 GiB of memory.","currency":"EUR"}}'
)


def _as_operator(command: str) -> str:
    """Write the command that runs one of Redis' as the host's own user, by its password's file."""
    password = "cat {vault}/operator.redis_password"
    return f"( printf 'AUTH operator '; {password}; echo; echo '{command}' ) | {_CLIENT}"


def _password_is(word: str) -> str:
    """Write the command that gives order-service's user in the ACL file another password."""
    script = r"s/^\(user order-service\) [^ ]* on /\1 $word on /"
    return (
        f'word="{word}"; text=$(sed -f /dev/stdin {_ACL} <<END\n{script}\nEND\n) &&'
        f" printf '%s\\n' \"$text\" > {_ACL}"
    )


_DIGEST = "#$(sha256sum < {order-service.secrets}/redis_password | cut -c1-64)"

DRILLS = (
    Drill(
        name="full-redis",
        area="redis",
        level=2,
        restart="redis-cache",
        symptom="Nothing can be put into a cart: 503. What is in one can be seen, and taken out.",
        probes=(FILLED_CART,),
        put=(f"printf 'maxmemory 512kb\\n' >> {_CONF}", _RESTART),
        hints=(
            "The answer to the customer says what is the matter; so does order-service's log.",
            (
                "How much may Redis use, and how much does it? Ask it as `operator` (INFO memory),"
                " or read its configuration."
            ),
            "grep -n maxmemory {redis-cache.config}: of two lines the last one counts.",
        ),
        repair=(edited(_CONF, "/^maxmemory 512kb$/d"), _RESTART),
        explanation=(
            "A second line, maxmemory 512kb, was at the end of redis.conf: less than Redis uses"
            " when it is empty. With maxmemory-policy noeviction it then refuses what would grow:"
            " no cart is ever evicted. Without a limit it would grow until the kernel kills it."
        ),
        wrong=(edited(_CONF, "s/^maxmemory 512kb$/maxmemory 0/"), _RESTART),
        refusal="redis.conf",
        undo=(edited(_CONF, r"/^maxmemory \(512kb\|0\)$/d"), _RESTART),
    ),
    Drill(
        name="second-in-line",
        area="redis",
        level=3,
        restart="redis-cache",
        symptom="Carts can be looked at, and nothing can be put in or taken out: 503. Redis has"
        " room.",
        probes=(FILLED_CART,),
        put=(f"printf 'replicaof 127.0.0.1 6390\\n' >> {_CONF}", _RESTART),
        hints=(
            "order-service's log has Redis' own words. It answers, so the way to it is open.",
            (
                "Redis takes no writes from clients if it is not the master. INFO replication, as"
                " `operator`, or its log: whose replica does it think it is?"
            ),
            "grep -n replicaof {redis-cache.config}.",
        ),
        repair=(edited(_CONF, "/^replicaof /d"), _RESTART),
        explanation=(
            "A line replicaof made Redis the replica of a master that does not exist: it serves"
            " what it has and takes writes from nobody else. With replica-read-only no it would"
            " take them, and lose them all the moment that a master answers: a replica replaces"
            " what it has by what the master has."
        ),
        wrong=(f"printf 'replica-read-only no\\n' >> {_CONF}", _RESTART),
        refusal="redis.conf",
        undo=(edited(_CONF, "/^replicaof /d; /^replica-read-only /d"), _RESTART),
    ),
    Drill(
        name="poisoned-cache",
        area="redis",
        level=4,
        restart="redis-cache",
        symptom="The router board is shown for 84 cents on its own page and for 84.90 in the list;"
        " restarts of everything did not help.",
        probes=("curl -sf -m 5 {url}/api/products/16 | grep -q '\"price_cents\":8490'",),
        put=(
            (
                "( printf 'AUTH operator '; cat {vault}/operator.redis_password; echo;"
                " cat <<'END'\n"
                f"SETEX catalogue:product:16 86400 '{_ROUTER}'\nEND\n) | {_CLIENT}"
            ),
        ),
        hints=(
            (
                "Is the price in PostgreSQL wrong, or what is made of it? The answer's header"
                " X-Cache says where it is from."
            ),
            (
                "It is a hit, always. A cached answer lives for 30 s: how long will this one?"
                " Redis' user `operator`, whose password is in {vault}, may look (TTL is not his,"
                " GET is)."
            ),
            (
                "Redis keeps its data over a restart. What is wrong is one key, and `operator` may"
                " delete keys of the catalogue."
            ),
        ),
        repair=(_as_operator("DEL catalogue:product:16"),),
        explanation=(
            "Somebody had written an answer with a mistyped price into the cache, to last a day."
            " Redis appends each write to a file and reads it at its start: no restart makes it"
            " forget. To cut the product services off from Redis shows right prices again, from"
            " PostgreSQL, at the price of the cache and of every cart."
        ),
        wrong=(f"{{redis-cache.enter}} iptables -I {_BLOCK}",),
        refusal="can no longer reach redis-cache",
        undo=(
            f"{{redis-cache.enter}} iptables -D {_BLOCK}",
            _as_operator("DEL catalogue:product:16"),
        ),
    ),
    Drill(
        name="other-password",
        area="redis",
        level=4,
        restart="redis-cache",
        symptom="Carts are gone: 503. Redis runs, products come from its cache, and order-service"
        " has the password that it always had.",
        probes=(FILLED_CART,),
        put=(_password_is("#$(printf %064d 0)"), _RESTART),
        hints=(
            (
                "order-service's log: what does Redis answer to it, and does the product service"
                " get the same answer?"
            ),
            (
                "Redis knows no passwords, only what they are checked by. Where does it read that,"
                " and when? Its configuration names the file."
            ),
            (
                "In {redis-cache.secrets}/redis.acl each user has the SHA-256 of its password."
                " sha256sum of the service's own copy must give the same."
            ),
        ),
        repair=(_password_is(_DIGEST), _RESTART),
        explanation=(
            "The digest of order-service's password in Redis' ACL file was another. Redis reads"
            " the file when it starts. The password itself was right, and the service's copy has"
            " all that is needed: its SHA-256 belongs into the file. nopass would let everybody"
            " who reaches Redis be order-service."
        ),
        wrong=(_password_is("nopass"), _RESTART),
        refusal="secrets",
        undo=(_password_is(_DIGEST), _RESTART),
    ),
)
