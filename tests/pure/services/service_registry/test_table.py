"""The table on disk: what is read again, and what is not."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from services.common.logs import Log
from services.service_registry.leases import Instance
from services.service_registry.table import Table

NETWORKS = (IPv4Network("10.0.0.0/24"),)
ENTRIES = (
    Instance("product-service", "product-service", "10.0.0.30", 5000, 6.0, 123.4),
    Instance("order-service", "order-service", "10.0.0.40", 5000, 6.0, 123.4),
)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, Log("service-registry", "service-registry", fd=-1))


def test_what_was_saved_is_read_again(table: Table, tmp_path: Path) -> None:
    table.save(ENTRIES)
    again = Table(tmp_path, table.log).load(NETWORKS)
    assert [(e.service, e.instance, e.address, e.port, e.lease_s) for e in again] == [
        (e.service, e.instance, e.address, e.port, e.lease_s) for e in ENTRIES
    ]


def test_the_file_is_replaced_whole(table: Table, tmp_path: Path) -> None:
    table.save(ENTRIES)
    table.save(ENTRIES[:1])
    assert [file.name for file in tmp_path.iterdir()] == ["table.json"]
    assert len(table.load(NETWORKS)) == 1


def test_what_could_not_register_today_is_left_out(table: Table) -> None:
    table.save(ENTRIES)
    assert table.load((IPv4Network("172.21.0.0/24"),)) == []


@pytest.mark.parametrize(
    "text", ["", "[", "{}", "3", "[3]", "[{}]", json.dumps([{"service": "p"}]), "\x00"]
)
def test_a_broken_file_is_an_empty_table(table: Table, tmp_path: Path, text: str) -> None:
    (tmp_path / "table.json").write_text(text)
    assert table.load(NETWORKS) == []


def test_without_a_directory_nothing_is_kept(table: Table, tmp_path: Path) -> None:
    nowhere = Table(None, table.log)
    nowhere.save(ENTRIES)
    assert nowhere.load(NETWORKS) == []
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_stops_nobody(table: Table, tmp_path: Path) -> None:
    Table(tmp_path / "absent", table.log).save(ENTRIES)
