"""The API answers ten thousand requests, valid and invalid ones, as its OpenAPI document says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api_cases import try_api
from tests.support.sandbox import Sandbox

# The sample of `make test` is in tests/e2e/test_net_flat.py, where a world is up already.
pytestmark = [pytest.mark.e2e, pytest.mark.long]

CASES = 10_000
EXAMPLES = 650  # of each operation
PHASES = "examples,coverage,fuzzing,stateful"


def test_ten_thousand_requests_are_answered_as_the_document_says(
    flat: Sandbox, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    tried = try_api(flat, "http://10.0.0.10", tmp_path, EXAMPLES, PHASES, 1, timeout_s=900)
    figures = {name: tried.report[name] for name in ("test_cases", "operations", "running_time")}
    tell(json.dumps(figures))
    assert tried.failures == [], tried.output[-20_000:]
    assert tried.cases >= CASES
