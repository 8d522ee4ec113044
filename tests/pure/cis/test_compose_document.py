"""A compose document is read in each of its forms."""

from __future__ import annotations

import pytest

from twinstack.cis.compose_document import parse
from twinstack.errors import CannotTell


@pytest.mark.parametrize("text", ["", "a: [", "- x", "services: {}", "services: [x]"])
def test_what_is_no_compose_document_is_not_judged(text: str):
    with pytest.raises(CannotTell):
        parse(text, "x")
