from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support.machines import made_software
from twinstack.model.runtimes import Role
from twinstack.overlay.bundles import code_bundle, software_bundles


@pytest.mark.parametrize(
    ("roles", "kinds"),
    [
        (("nginx", "redis"), ["nginx", "redis", "supervisor"]),
        (("postgres",), ["postgres", "services", "supervisor"]),
        (("python",), ["python", "services-site", "supervisor"]),
    ],
)
def test_a_machine_needs_its_roles_trees_and_the_packages_that_they_read(
    roles: Collection[Role], kinds: list[str], tmp_path: Path
):
    bundles = software_bundles(roles, *made_software(tmp_path))
    assert sorted(bundle.name.rpartition("-")[0] for bundle in bundles.values()) == kinds


def test_a_tree_of_other_packages_has_another_name(tmp_path: Path):
    roots, installed = made_software(tmp_path)
    before = software_bundles(["nginx"], roots, installed)["nginx"].name
    assert software_bundles(["nginx"], roots, installed)["nginx"].name == before
    (roots.tree("nginx") / "var/lib/dpkg/status").write_text("Package: nginx\nVersion: 2")
    assert software_bundles(["nginx"], roots, installed)["nginx"].name != before


def test_the_code_is_named_by_its_content():
    assert code_bundle().name == code_bundle.__wrapped__().name
