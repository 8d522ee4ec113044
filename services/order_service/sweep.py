"""What is done some time after an order, by a thread of every process: none is the only one.

The carts of orders are emptied once more some seconds later (Redis may have been away, or come back
with an earlier state), or when it is back. Idempotency-Keys are forgotten after a day.
"""

from __future__ import annotations

import random
import threading
import time

from services.common.failures import DatabaseBusy, DatabaseDown, OutcomeUnknown, RedisDown
from services.common.service import Service
from services.order_service import orders
from services.order_service.carts import Carts

EVERY_S = 2.0
SETTLED_S = 3.0  # a store that was killed meanwhile is back
KEYS_KEPT_S = 24 * 3600.0
CARTS_AT_ONCE = 200
_TROUBLE = (RedisDown, DatabaseDown, DatabaseBusy, OutcomeUnknown)


class Sweep:
    """Sweeps every two seconds or so, once it is started."""

    def __init__(self, service: Service, carts: Carts) -> None:
        self._database = service.database
        self._log = service.log
        self._carts = carts

    def start(self) -> None:
        threading.Thread(target=self._run, name="sweep", daemon=True).start()

    def once(self) -> int:
        """Sweep; give the number of carts. Raises: RedisDown, or what PostgreSQL's failures are."""
        orders.forget_keys(self._database, KEYS_KEPT_S)
        pending = orders.carts_to_empty(self._database, SETTLED_S, CARTS_AT_ONCE)
        for _, session, ordered in pending:
            self._carts.take_out(session, ordered)
        if pending:
            orders.note_emptied(self._database, [order_id for order_id, _, _ in pending])
        return len(pending)

    def _run(self) -> None:
        trouble = ""
        while True:
            time.sleep(EVERY_S * random.uniform(0.8, 1.2))
            try:
                while self.once() == CARTS_AT_ONCE:
                    pass
                trouble = ""
            except _TROUBLE as error:
                if trouble != (trouble := type(error).__name__):  # Once, not every two seconds.
                    self._log.event("warning", "sweep put off", reason=f"{trouble}: {error}")
            except Exception:
                self._log.exception("the sweep failed")
