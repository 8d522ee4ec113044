"""Is there an order of a session's cart operations that explains every answer? Pure.

A search for a linearization: each operation takes effect at one instant between its sending and
its answer; one with an unknown outcome at any instant after its sending, or never. What a refused
operation would have changed must stay unchanged. What was ordered leaves the cart at once or, if
something is broken then, later: meanwhile it may still be shown, but never bought a second time.
Source: Wing and Gong, "Testing and Verifying Concurrent Objects", 1993; Lowe, "Testing for
Linearizability", 2017 (states already seen are not searched again).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from twinstack.order_check.history import Lines, Operation

#: A search that is longer is given up: such a session has too many unknown outcomes to be judged.
MOST_STATES = 200_000


@dataclass(frozen=True, slots=True)
class CartState:
    """A cart, what is ordered but may still be shown in it, and the orders: key → lines."""

    cart: Lines = ()
    owed: Lines = ()
    placed: frozenset[tuple[str, Lines]] = frozenset()


@dataclass(frozen=True, slots=True)
class Search:
    """The result: the operation that no order explains, if there is one."""

    inexplicable: Operation | None = None
    given_up: bool = False


def explain(
    operations: Iterable[Operation], losses: Sequence[float] = (), owing_until_s: float = -math.inf
) -> Search:
    """Search for an order of one session's cart operations.

    `losses` are the moments at which the store may have lost all carts; until `owing_until_s`
    what was ordered may still be shown. Units: seconds.
    """
    ordered = sorted(operations, key=lambda operation: (operation.invoked_s, operation.number))
    begins = [operation.invoked_s for operation in ordered] + list(losses)
    ends = [_end(operation) for operation in ordered] + [math.inf] * len(losses)
    definite = sum(1 << n for n, end in enumerate(ends) if end < math.inf)
    earlier = _earlier_equals(ordered)
    start = (0, CartState())
    seen, stack, best = {start}, [start], 0
    while stack:
        done, state = stack.pop()
        if done & definite == definite:
            return Search()
        if (done & definite).bit_count() > (best & definite).bit_count():
            best = done
        left = [n for n in range(len(begins)) if not done >> n & 1]
        earliest_end = min(ends[n] for n in left)
        for n in reversed(left):  # the first sent is looked at first
            if begins[n] > earliest_end or (n in earlier and not done >> earlier[n] & 1):
                continue
            if n >= len(ordered):
                states: Iterable[CartState] = (CartState(placed=state.placed),)
            else:
                states = _after(ordered[n], state, ordered[n].invoked_s < owing_until_s)
            for later in states:
                if later == state and not definite >> n & 1:
                    continue  # the same as never
                following = (done | 1 << n, later)
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        if len(seen) > MOST_STATES:
            return Search(given_up=True)
    missing = [n for n in range(len(ordered)) if definite >> n & 1 and not best >> n & 1]
    return Search(min((ordered[n] for n in missing), key=lambda operation: operation.ended_s))


def _earlier_equals(ordered: Sequence[Operation]) -> dict[int, int]:
    """Give, of requests sent again and again without an answer, each one's predecessor.

    They are alike: if fewer took effect than were sent, then let it be the first ones.
    """
    latest: dict[object, int] = {}
    found = {}
    for n, each in enumerate(ordered):
        if each.outcome == "unknown":
            asked = (each.kind, each.key, each.lines)
            if asked in latest:
                found[n] = latest[asked]
            latest[asked] = n
    return found


def _end(operation: Operation) -> float:
    return math.inf if operation.outcome == "unknown" else operation.ended_s


def _after(operation: Operation, state: CartState, may_owe: bool) -> Iterator[CartState]:
    """Give the states there can be after an operation that was answered so in this state."""
    paid = replace(state, owed=())
    for before in (state, paid) if may_owe and state.owed else (paid,):
        if operation.kind == "checkout":
            yield from _check_out(operation, before, may_owe)
        elif operation.outcome == "refused":
            yield before
        else:
            after = _change(operation, before)
            shown = operation.shown
            if shown is None or shown.quantities == _sum(after.cart, after.owed):
                yield after


def _change(operation: Operation, state: CartState) -> CartState:
    if operation.kind == "cart-add":
        return replace(state, cart=_sum(state.cart, operation.lines))
    if operation.kind in {"cart-put", "cart-clear"}:
        return replace(state, cart=operation.lines, owed=())
    return state


def _check_out(operation: Operation, state: CartState, may_owe: bool) -> Iterator[CartState]:
    placed = dict(state.placed).get(operation.key)
    bought = operation.shown.quantities if operation.shown else ()
    if operation.outcome == "refused":
        is_empty = operation.error == "cart_empty"
        if placed is None and is_empty == (not state.cart):
            yield state
    elif placed is not None:  # a repeat is answered with its order
        if operation.outcome == "unknown" or bought == placed:
            yield state
    elif operation.outcome == "unknown" and not state.cart:
        yield state
    elif state.cart and (operation.outcome == "unknown" or bought == state.cart):
        with_order = state.placed | {(operation.key, state.cart)}
        yield CartState(owed=state.owed, placed=with_order)
        if may_owe:
            yield CartState(owed=_sum(state.cart, state.owed), placed=with_order)


def _sum(first: Lines, second: Lines) -> Lines:
    if not second:
        return first
    return tuple(sorted((Counter(dict(first)) + Counter(dict(second))).items()))
