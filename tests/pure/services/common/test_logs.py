"""Logs are JSON lines, one for each request unless they are off."""

from __future__ import annotations

import json
import os

from services.common.logs import Log


def test_a_log_line_is_json_with_the_requests_id() -> None:
    read_end, write_end = os.pipe()
    log = Log("product-service", "product-service-2", fd=write_end)
    log.request("id-1", "GET", '/a"b', 200, 0.0015)
    log.flush()
    line = json.loads(os.read(read_end, 4096))
    assert line["request_id"] == "id-1"
    assert line["replica"] == "product-service-2"
    assert line["path"] == '/a"b'
    assert line["took_ms"] == 1.5
    os.close(write_end)
    os.close(read_end)


def test_request_logs_can_be_off() -> None:
    read_end, write_end = os.pipe()
    log = Log("product-service", "product-service", requests=False, fd=write_end)
    log.request("id-1", "GET", "/", 200, 0.1)
    log.flush()
    os.close(write_end)
    assert os.read(read_end, 4096) == b""
    os.close(read_end)
