"""An order as it is shown, whatever PostgreSQL's own settings are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

from services.common.database import Cursor, Database
from services.order_service import orders

ORDER = "0b0e4f4c-1e6f-4f3c-9d0d-2f2b9f0c1a11"
PLACED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class FakeDatabase:
    """Answers the questions of `show` in their order."""

    answers: list[list[tuple[object, ...]]] = field(default_factory=list)

    def read(self, work: Callable[[Cursor], object]) -> object:
        return work(cast(Cursor, self))

    def execute(self, query: str, values: object) -> None: ...

    def fetchone(self) -> tuple[object, ...] | None:
        return next(iter(self.answers.pop(0)), None)

    def fetchall(self) -> list[tuple[object, ...]]:
        return self.answers.pop(0)


def test_an_order_is_dated_in_utc_whatever_the_clusters_time_zone_is() -> None:
    for hours in (0, 2, -11):
        here = PLACED_AT.astimezone(timezone(timedelta(hours=hours)))
        database = FakeDatabase([[(ORDER, here, 4980)], [(3, "Optical mouse", 2, 2490)]])
        order = orders.show(cast(Database, database), ORDER, "a session")
        assert order is not None
        assert order["created_at"] == "2026-01-02T03:04:05+00:00"
