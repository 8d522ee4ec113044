"""Cases of a check, of which `make test` takes some, and `invoke check.*` all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[Any], sample: Collection[Any]) -> list[Any]:
    """Give cases as parameters; those that are not in the sample are long."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks)
        for case in cases
        for marks in [() if case in sample else pytest.mark.long]
    ]


#: For each verb one: to restart the order service scales it, too.
LIVE_RESTARTS = sampled(("order-service", "product-service"), ("order-service",))
LIVE_SCALES = sampled((("product-service", 5), ("order-service", 3)), (("product-service", 5),))
