"""One command asks a root for its software; its answer is read, or there is none."""

from __future__ import annotations

import pytest

from tests.support.bench_fakes import PLAN, TOPOLOGY
from twinstack.errors import CannotTell
from twinstack.model.plan import resolve
from twinstack.model.releases import ServiceRelease
from twinstack.software.facts import released_versions, software_answer, software_question


def test_the_same_question_covers_packages_programs_and_for_python_our_own_code():
    assert "sha256sum /usr/sbin/nginx" in software_question("nginx")[-1]
    assert "find services" in software_question("python")[-1]


def test_an_answer_is_read_into_names_and_values():
    output = "nginx version 1.22.1-9\nnginx digest 0f3a\n"
    assert software_answer(output) == {"nginx version": "1.22.1-9", "nginx digest": "0f3a"}


def test_no_answer_is_no_knowledge():
    with pytest.raises(CannotTell):
        software_answer("bash: dpkg-query: command not found")


def test_worlds_with_other_versions_differ_in_their_software():
    plan = resolve(TOPOLOGY, released=(ServiceRelease("order-service", ("aaaaaaaaaaaa",)),))
    assert released_versions(plan.replicas) == {"order-service version": "aaaaaaaaaaaa"}
    assert released_versions(PLAN.replicas) == {}
