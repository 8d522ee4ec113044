"""What cannot be read is refused before anything is written."""

from __future__ import annotations

import pytest

from bench.engine.design import Design
from bench.questions import traffic
from tests.support.bench_fakes import FakeStack, quiet
from twinstack.errors import TwinstackError


@pytest.mark.parametrize(("megabytes", "minutes"), [(1, 1.0), (30, 0.0), (2_001, 1.0)])
def test_what_cannot_be_measured_is_refused_first(megabytes: int, minutes: float) -> None:
    with pytest.raises(TwinstackError, match="cannot be"):
        traffic.ask(FakeStack(), megabytes=megabytes, how=Design(minutes), progress=quiet)  # type: ignore[arg-type]
