"""A module that a topology names is one of services/, and holds the named application."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.core_cases import declared, written
from tests.support.model_cases import service
from twinstack.errors import TopologyError
from twinstack.model.applications import SERVICES, mistakes
from twinstack.model.topology_file import load, parse

MODULES = {
    "services.order_servce.app:app": "did you mean services.order_service.app:app?",
    "services.order_service.ap:app": "did you mean services.order_service.app:app?",
    "services.order_service.app:aplication": "services/order_service/app.py names no aplication",
    "services.order_service.:app": "did you mean services.order_service.app:app?",
    "services:app": "services/__init__.py names no app; correct what follows the colon",
    "flask:Flask": "services/ has no such module; there are services.api_gateway.app:app",
    "twinstack.stack:Stack": "services/ has no such module",
}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_not_there_is_a_mistake_at_its_line(module: str, tmp_path: Path):
    file = tmp_path / "topology.yml"
    file.write_text(written(service("order-service", module=module)))
    with pytest.raises(TopologyError) as caught:
        load(file)
    (line,) = str(caught.value).splitlines()
    assert f": services.order-service.module: cannot be {module}: " in line
    assert MODULES[module] in line


def test_every_declared_module_is_there():
    assert list(mistakes(declared())) == []


def test_a_package_and_a_name_that_comes_from_elsewhere_are_applications(tmp_path: Path):
    services = tmp_path / "services"
    (services / "shop").mkdir(parents=True)
    (services / "shop/__init__.py").write_text("from flask import *\n")
    edit = service("order-service", module="services.shop:whatever")
    others = mistakes(parse(written(edit)), services)
    assert "order-service" not in {each.path[1] for each in others}


def test_a_topology_as_text_is_checked_without_applications():
    parse(written(service("order-service", module="services.none:app")))
    assert SERVICES.is_dir()
