"""A set of trees is named by what it is made of, and is used only when it is whole."""

from __future__ import annotations

from pathlib import Path

from twinstack.software.apt import Release
from twinstack.software.roots import PACKAGES, Recipe, find_roots

RECIPE = Recipe(Release("debian", "bookworm", "amd64"), (("redis", 30050),))


def test_another_suite_account_or_architecture_is_another_set():
    others = (
        Recipe(Release("debian", "trixie", "amd64"), RECIPE.accounts),
        Recipe(Release("debian", "bookworm", "arm64"), RECIPE.accounts),
        Recipe(RECIPE.release, (("redis", 30051),)),
    )
    assert len({recipe.name for recipe in (RECIPE, *others)}) == 4
    assert RECIPE.name.startswith("bookworm-")


def test_trees_are_found_only_when_every_role_has_one(tmp_path: Path):
    for role in PACKAGES:
        assert find_roots(RECIPE, tmp_path) is None
        (tmp_path / RECIPE.name / role).mkdir(parents=True)
    roots = find_roots(RECIPE, tmp_path)
    assert roots is not None
    assert roots.tree("redis") == tmp_path / RECIPE.name / "redis"
