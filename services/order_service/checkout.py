"""An order, of given items or of a cart, and what follows from it in Redis.

A cart is ordered once: PostgreSQL accepts one order for its id. Redis may be away, or this process
may end, between the order and the emptying of its cart: then the next checkout, a repetition of the
request, or the sweep takes out what was ordered.
"""

from __future__ import annotations

from collections.abc import Callable

from services.common.catalogue import keys_of_change
from services.common.failures import DatabaseBusy, RedisDown
from services.common.request_stats import Counts
from services.common.service import Service
from services.common.wsgi import ApiError, request_id
from services.order_service import orders
from services.order_service.carts import Cart, Carts
from services.order_service.locked_products import LockedProducts
from services.order_service.orders import CartOrdered, OrderRequest, Placed
from services.order_service.requests import Lines

#: A cart may be filled again and ordered by others while we look; not for ever.
_ROUNDS = 3


class Checkout:
    """Places orders upon PostgreSQL and Redis."""

    def __init__(self, service: Service, carts: Carts) -> None:
        self._service = service
        self._database = service.database
        self._carts = carts
        self._locked = LockedProducts(service.database)
        self.outcomes = Counts("placed", "replayed", "refused", "failed")

    def order(
        self,
        request: OrderRequest,
        lines: Lines | None,
        is_shown: Callable[[Cart], bool] = lambda _: True,
    ) -> Placed:
        """Order these lines, or else what is in the session's cart, if its client has seen it so.

        Raises: ApiError 409, 422, 503; DatabaseDown, DatabaseBusy, OutcomeUnknown; RedisDown
        (only if it is the cart).
        """
        outcome = "failed"
        try:
            if lines is None:
                placed = self._order_cart(request, is_shown)
            else:
                placed = self._place(request, Cart("", lines))
            outcome = "replayed" if placed.replayed else "placed"
        except (ApiError, DatabaseBusy) as error:
            if isinstance(error, DatabaseBusy) or error.status < 500:
                outcome = "refused"
            raise
        finally:
            self.outcomes.add(outcome)
        self._tell_redis(request.session, placed)
        return placed

    def _order_cart(self, request: OrderRequest, is_shown: Callable[[Cart], bool]) -> Placed:
        placed = orders.replay(self._database, request)
        if placed is not None:
            return placed
        for _ in range(_ROUNDS):
            cart = self._carts.show(request.session)
            shown = is_shown(cart)
            if not (cart.id and shown):
                # A request with the same key may have ordered and emptied it since we looked.
                placed = orders.replay(self._database, request)
                if placed is not None:
                    return placed
                if not shown:
                    message = "the cart is not as this page showed it; look at it again, then order"
                    raise ApiError(409, "cart_changed", message)
                raise ApiError(409, "cart_empty", "there is nothing in the session's cart")
            try:
                return self._place(request, cart)
            except CartOrdered as earlier:
                self._carts.take_out(request.session, earlier.ordered)
        raise ApiError(503, "try_again", "the cart was ordered by other requests meanwhile")

    def _place(self, request: OrderRequest, cart: Cart) -> Placed:
        try:
            with self._locked.refused_while_locked(cart.lines):
                return orders.place(self._database, request, cart)
        except DatabaseBusy:
            placed = orders.replay(self._database, request)  # It needs no lock.
            if placed is None:
                raise
            return placed

    def _tell_redis(self, session: str, placed: Placed) -> None:
        try:
            if not placed.replayed:
                self._service.store.command(b"DEL", *keys_of_change(placed.ordered.lines))
            if placed.ordered.id:
                self._carts.take_out(session, placed.ordered)
        except (
            RedisDown
        ):  # The order stands; cached entries expire, and the sweep empties the cart.
            message = "cache not invalidated after an order"
            self._service.log.event("warning", message, request_id=request_id())
