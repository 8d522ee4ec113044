"""What the services run on, built once for all tests that need it."""

from __future__ import annotations

import os

import pytest

from tests.support.sandbox import REPOSITORY
from twinstack.stack import Stack


@pytest.fixture(scope="session")
def software() -> None:
    """Build what the services run on, out here where the package mirrors are."""
    if os.geteuid() != 0:
        pytest.skip("this needs root: the test makes network namespaces")
    Stack("main", REPOSITORY / "topology.yml").software(print)
