from __future__ import annotations

from twinstack.state.paths import InstancePaths


def test_instances_share_no_directory(paths: InstancePaths):
    other = InstancePaths("u")
    assert {paths.run, paths.lib, paths.log}.isdisjoint({other.run, other.lib, other.log})
    assert paths.log.is_relative_to(paths.lib)
