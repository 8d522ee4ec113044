"""Each cause is at work while it is planted, the stack answers still, and nothing of it is left."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from bench.questions.symptoms import SYMPTOMS
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.kernel


def test_every_cause_is_planted_and_taken_away_without_a_trace(flat: Sandbox) -> None:
    if shutil.which("docker-proxy") is None:
        pytest.skip("needs docker-proxy")
    found = json.loads(flat.run(sys.executable, "-m", "tests.support.plant_causes").stdout)
    assert list(found["seen"]) == [symptom.cause for symptom in SYMPTOMS]
    # Before, while planted, after, and whether the stack answered meanwhile.
    assert {tuple(states) for states in found["seen"].values()} == {(False, True, False, True)}
    assert found["entry"]
    assert found["after"] == found["before"]
    assert found["after"]["steps"] == []
