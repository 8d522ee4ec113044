"""Orders in a whole stack, and prints what came of it: `python shopper.py ADDRESS:PORT`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.order_process import Answer, Client, at_once


def main(where: str) -> None:
    address, _, port = where.partition(":")

    def new_client(session: str = "") -> Client:
        return Client(int(port), session, address, "/api")

    def three_checkouts(key: str) -> list[int]:
        client = new_client()
        assert client.add(3, 1).status == 200
        check_out: Callable[[], Answer] = partial(client.check_out, key)
        return sorted(answer.status for answer in at_once(*[check_out] * 3))

    one, other = new_client(), new_client()
    one.cart()
    other.cart()
    placed = one.order(3, key="same")
    path = f"/orders/{placed.said['id']}"
    seen = {
        "one cart, three checkouts": [three_checkouts("") for _ in range(5)],
        "one cart, one key, three checkouts": [three_checkouts("k") for _ in range(5)],
        "one key, two sessions": [placed.status, other.order(3, key="same").status],
        "an order in its session, and in another": [
            one.call("GET", path).status,
            other.call("GET", path).status,
        ],
        "a key without a session": new_client().order(3, key="k").status,
        "a session of the client's choice": new_client("A" * 48).add(3, 1).status,
    }
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
