"""Carts in Redis, the session store: a hash for each session, product id → quantity."""

from __future__ import annotations

import secrets

from services.common.redis_store import RedisStore, Script
from services.common.wsgi import ApiError
from services.order_service.requests import LINES_MAX, QUANTITY_MAX, Lines

_ADD = Script(
    """
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if before + ARGV[2] > tonumber(ARGV[3]) then return -1 end
if before == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -2 end
redis.call('HSET', KEYS[1], ARGV[1], before + ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return before + ARGV[2]
"""
)
_REPLACE = Script(
    """
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if #ARGV > 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return 1
"""
)
_TAKE_OUT = Script(
    """
for i = 1, #ARGV, 2 do
    local before = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0')
    if before > tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], before - ARGV[i + 1])
    else
        redis.call('HDEL', KEYS[1], ARGV[i])
    end
end
return 1
"""
)


def new_session() -> str:
    """Make an unguessable session id."""
    return secrets.token_urlsafe(18)


class Carts:
    """The carts in one Redis; each is forgotten `ttl_s` seconds after its last change."""

    def __init__(self, store: RedisStore, ttl_s: int) -> None:
        self._store = store
        self._ttl_s = ttl_s

    def show(self, session: str) -> Lines:
        flat = self._store.command(b"HGETALL", _key(session))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return dict(sorted((int(product), int(quantity)) for product, quantity in pairs))

    def add(self, session: str, product_id: int, quantity: int) -> None:
        """Put more of a product in. Raises: RedisDown, ApiError 409."""
        values = (product_id, quantity, QUANTITY_MAX, LINES_MAX, self._ttl_s)
        result = self._store.script(_ADD, (_key(session),), values)
        if result == -1:
            raise ApiError(409, "cart_full", f"a cart holds at most {QUANTITY_MAX} of a product")
        if result == -2:
            raise ApiError(409, "cart_full", f"a cart holds at most {LINES_MAX} products")

    def replace(self, session: str, lines: Lines) -> None:
        self._store.script(_REPLACE, (_key(session),), (self._ttl_s, *_flat(lines)))

    def take_out(self, session: str, lines: Lines) -> None:
        """Take out what was ordered, and leave what was added since. Raises: RedisDown."""
        self._store.script(_TAKE_OUT, (_key(session),), _flat(lines))


def _key(session: str) -> bytes:
    return b"cart:" + session.encode()


def _flat(lines: Lines) -> list[int]:
    return [number for line in lines.items() for number in line]
