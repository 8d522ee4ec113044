"""As much of Redis as the product service's cache uses, in memory."""

from __future__ import annotations

from services.common.failures import RedisDown
from services.common.redis_store import RedisStore


class FakeStore(RedisStore):
    """As much of Redis as the cache uses."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.down = False

    def get(self, key: bytes) -> bytes | None:
        if self.down:
            raise RedisDown("down")
        return self.data.get(key)

    def command(self, *arguments):
        if self.down:
            raise RedisDown("down")
        _, key, value, *_ = arguments
        if key in self.data:
            return None
        self.data[key] = value
        return b"OK"

    def script(self, script, keys, values):
        if self.down:
            raise RedisDown("down")
        if self.data.get(keys[-1]) != values[0]:
            return 0
        if len(keys) > 1:
            self.data[keys[0]] = values[1]
        del self.data[keys[-1]]
        return 1
