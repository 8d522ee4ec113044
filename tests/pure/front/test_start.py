"""A task starts fast: the tasks alone import no library that only some of them need."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.project import ROOT

#: Libraries that take from 10 to 150 ms to import, and whole rooms of ours that import them.
HEAVY = {
    "docker",
    "jinja2",
    "numpy",
    "pydantic",
    "pyroute2",
    "requests",
    "rich",
    "bench.engine",
    "twinstack.model.topology",
    "twinstack.namespaces",
    "twinstack.observe.traffic",
    "twinstack.overlay",
    "twinstack.swarm",
}


def loaded_by(program: str, **environment: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_listing_the_tasks_imports_nothing_heavy():
    assert HEAVY & loaded_by("import tasks") == set()


def test_the_namespace_world_is_read_without_docker_or_templates():
    loaded = loaded_by("from twinstack.stack import from_environment as f; f().net()")
    assert {"docker", "jinja2", "numpy", "rich"} & loaded == set()


def test_the_namespace_worlds_logs_are_read_without_that_world():
    loaded = loaded_by(
        "from twinstack.stack import from_environment as f; from twinstack.namespaces import marks;"
        "from twinstack.observe.logs import reading, show;"
        "here = f(); here.net_logs(); here.net_shape()",
        TWINSTACK_INSTANCE="never-up",
    )
    # A world that is not up has no record, which only pydantic reads.
    ours = {name for name in loaded if name.startswith("twinstack.namespaces.")}
    assert ours == {f"twinstack.namespaces.{name}" for name in ("log_file", "logs", "marks")}
    assert HEAVY & loaded == {"twinstack.namespaces"}


def test_whether_an_engine_is_there_is_known_without_loading_the_docker_world():
    loaded = loaded_by(
        "import tasks; from twinstack.compose.engine_paths import is_absent as f; f()"
    )
    assert HEAVY & loaded == set()


def test_a_user_who_wants_no_pyc_files_gets_none():
    done = subprocess.run(
        [sys.executable, "-c", "import front, sys; print(sys.dont_write_bytecode)"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


def test_the_policy_is_shown_without_a_world_or_docker():
    loaded = loaded_by(
        "from twinstack.stack import from_environment as f; "
        "[f().plan_of(world, policy=True) for world in ('net', 'docker')]"
    )
    assert {
        "docker",
        "jinja2",
        "twinstack.namespaces.world",
        "twinstack.compose.world",
    } & loaded == set()
