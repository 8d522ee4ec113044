"""Carts in Redis, the session store: a hash for each session, product id → quantity.

A cart has an id, its field `id`, which lasts until the cart is replaced or ordered. PostgreSQL
accepts one order for each id, and what was ordered is taken out of the cart with that id only:
again and again does no harm, also after Redis has come back with an earlier state. What was added
since the order is a cart of its own, whose id follows from the former one.

A full Redis refuses a script at its first write, or not at all. So what fills a cart begins with a
write that a full Redis refuses (HSET), and what empties one with a write that it accepts (HDEL).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from services.api.schemas import LINES_MAX, QUANTITY_MAX
from services.common.redis_store import RedisStore, Script
from services.common.wsgi import ApiError
from services.order_service.requests import Lines

_ID = b"id"
#: Carts that would grow are refused while Redis uses nine tenths of its memory. The last tenth is
#: the cache's, which never needs more: so strangers' carts take room from nobody.
_ROOM = """
local function check_room()
    local memory = redis.call('INFO', 'memory')
    local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
    local most = tonumber(string.match(memory, 'maxmemory:(%d+)'))
    if most > 0 and used > 0.9 * most then error({err = 'OOM carts may not grow now'}) end
end
"""
_ADD = Script(
    _ROOM
    + """
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if before + ARGV[2] > tonumber(ARGV[3]) then return -1 end
if before == 0 and redis.call('HLEN', KEYS[1]) > tonumber(ARGV[4]) then return -2 end
if before == 0 then check_room() end
redis.call('HSETNX', KEYS[1], 'id', ARGV[6])
redis.call('HSET', KEYS[1], ARGV[1], before + ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return before + ARGV[2]
"""
)
_REPLACE = Script(
    _ROOM
    + """
if #ARGV == 2 then return redis.call('DEL', KEYS[1]) end
if #ARGV > 2 * redis.call('HLEN', KEYS[1]) then check_room() end
redis.call('HSET', KEYS[1], 'id', ARGV[2])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
)
_REMOVE = Script(
    """
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('HLEN', KEYS[1]) == 1 then return redis.call('DEL', KEYS[1]) end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
)
_TAKE_OUT = Script(
    """
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'id')
for i = 2, #ARGV, 2 do
    local before = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
    if before > tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], before - ARGV[i + 1])
    else
        redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
if redis.call('HLEN', KEYS[1]) > 0 then
    redis.call('HSET', KEYS[1], 'id', redis.sha1hex(ARGV[1]))
end
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Cart:
    """What is in a session's cart; one without lines has no id."""

    id: str
    lines: Lines


class Carts:
    """The carts in one Redis; each is forgotten `ttl_s` seconds after its last change.

    A session is given by its name. Every method raises RedisDown.
    """

    def __init__(self, store: RedisStore, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s

    def show(self, session: str) -> Cart:
        flat = self._store.command(b"HGETALL", _key(session))
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        cart_id = fields.pop(_ID, b"").decode()
        pairs = ((int(product), int(quantity)) for product, quantity in fields.items())
        return Cart(cart_id, dict(sorted(pairs)))

    def add(self, session: str, product_id: int, quantity: int) -> None:
        """Put more of a product in. Raises: ApiError 409."""
        values = (product_id, quantity, QUANTITY_MAX, LINES_MAX, self._ttl_s, _new_id())
        result = self._store.script(_ADD, (_key(session),), values)
        if result == -1:
            raise ApiError(409, "cart_full", f"a cart holds at most {QUANTITY_MAX} of a product")
        if result == -2:
            raise ApiError(409, "cart_full", f"a cart holds at most {LINES_MAX} products")

    def replace(self, session: str, lines: Lines) -> None:
        self._store.script(_REPLACE, (_key(session),), (self._ttl_s, _new_id(), *_flat(lines)))

    def remove(self, session: str, product_id: int) -> None:
        """Take a product out, and leave whatever else is in the cart."""
        self._store.script(_REMOVE, (_key(session),), (product_id, self._ttl_s))

    def take_out(self, session: str, cart: Cart) -> None:
        """Take out what was ordered, once, and leave what was added since."""
        self._store.script(_TAKE_OUT, (_key(session),), (cart.id, *_flat(cart.lines)))


def _key(session: str) -> bytes:
    return b"cart:" + session.encode()


def _new_id() -> str:
    return secrets.token_hex(20)  # as long as a SHA-1, which the next one is


def _flat(lines: Lines) -> list[int]:
    return [number for line in lines.items() for number in line]
