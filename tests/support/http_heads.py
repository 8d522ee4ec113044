"""Hostile heads of requests: lines, paths, bytes, hosts, sizes, hops, sessions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tests.support.http_vectors import (
    BAD,
    BODY_MAX,
    CLOSED,
    ID,
    OK,
    Vector,
    entries,
    get,
    post,
    sized,
    vector,
)

_CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F)]


def _request_lines() -> Iterator[Vector]:
    known = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"}
    others = {b"TRACE", b"CONNECT", b"PROPFIND", b"PURGE", b"PRI", b"FOO", b"get", b"G\xc3", b""}
    for method, path in product(sorted(known | others), (b"/health", b"/api/cart", b"/no", b"*")):
        allowed = {200, 204, 400, 404, 405} if method in known else {400, 404, 405, 501}
        yield vector("method", b"%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (method, path, ID), allowed)
    versions = entries(r"HTTP/0.9¦HTTP/1.2¦HTTP/2.0¦HTTP/3¦HTTP/1.1.1¦HTTP/11¦http/1.1")
    versions += [b"HTTP/1.", b"HTTP/.1", b"HTTP/-1.1", b"HTTP/1,1", b"HTTP/01.1", b"HTTP/1.01"]
    versions += entries(r"HTTPS/1.1¦RTSP/1.0¦ICE/1.0¦HTTP¦HTTP/¦\xff¦HTTP/1.1\t")
    for version in versions:
        line = b"GET /api/products/3 %s\r\nHost: x\r\n%s\r\n" % (version, ID)
        allowed = {200, 400, 505} if version == b"HTTP/1.2" else {CLOSED, 400, 505}
        # nginx reads 01 as 1, the gateway's parser RTSP/1.0 as HTTP/1.0: no harm comes of it.
        lenient = {200} if version in {b"HTTP/1.1\t", b"HTTP/1.01", b"RTSP/1.0"} else set[int]()
        yield vector("version", line, allowed | lenient)
    for line in (b"GET /health", b"GET", b"GET  /health  HTTP/1.1", b"GET\t/health\tHTTP/1.1"):
        yield vector("line", line + b"\r\nHost: x\r\n\r\n", {CLOSED, 200, 400, 505})
    for line in (b" GET /health HTTP/1.1", b"GET /health HTTP/1.1 x", b"/health GET HTTP/1.1"):
        yield vector("line", line + b"\r\nHost: x\r\n\r\n", BAD)
    for junk in entries(
        r"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03¦\x80.\x01\x00\x02¦SSH-2.0-x"
    ):
        yield vector("other protocols", junk + b"\r\n\r\n", BAD | {CLOSED})
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    yield vector("other protocols", preface, {CLOSED, 400, 505})
    for path in entries(
        r"http://x/api/products/3¦HTTP://x/api/products/3¦http://evil/api/products/3"
    ):
        yield vector("absolute", get(path), OK)
    for path in entries(r"https://x/¦http://¦http:///¦ftp://x/y¦x:80¦//x/y¦http://a@b/"):
        yield vector("absolute", get(path), {400, 404})


def _paths() -> Iterator[Vector]:
    bare = entries(r"/¦//¦/api¦/api/¦/api/products/¦/api/products//¦/API/products")
    bare += entries(r"/api/products/3/¦/api/products/3/4¦/api/orders/../products¦/api/./products")
    bare += entries(
        r"/api/products/..¦/api/products/../../health¦/internal/counts¦/internal/status"
    )
    bare += entries(r"/internal¦/refused¦/api;x/products¦/api/products;x¦/api\\products")
    for path in bare:
        yield vector(
            "path", get(path), {400, 404, *([200] if b".." in path or b"/." in path else [])}
        )
    ids = entries(r"0¦-1¦+3¦3.0¦1e1¦03¦%33¦%2e%2e¦%2f¦3%2f¦%00¦%0d%0a")
    ids += entries(r"%¦%2¦%zz¦%ff¦%ed%a0%80¦%c0%ae¦%e2%80%ae¦%u0033¦99999999999")
    ids += [*entries(r"2147483648¦3%20¦%203¦null¦true¦{}¦'¦3'--¦3;4¦*"), b"9" * 400]
    ids += [*entries(r"3%00¦%d9%a3¦%EF%BC%93¦<script>¦${x}¦{{7*7}}¦..;¦~¦%25"), b"a" * 7000]
    for text, path in product(ids, (b"/api/products/", b"/api/orders/")):
        yield vector("id", get(path + text), {200, 400, 404})
    for query in [*entries(r"?¦??¦?a=%¦?a=%00¦?a[]=1¦?/../..¦#x¦?#"), b"?" + b"a&" * 500]:
        yield vector("query", get(b"/api/products" + query), {200, 400})
        yield vector("query", get(b"/health" + query), {200, 400})
    for byte in entries(r'\x80¦\xff¦\xc3\xa9¦"¦<¦>¦^¦`¦{¦|¦}'):
        yield vector("raw byte", get(b"/api/products/" + byte), {400, 404})


def _controls() -> Iterator[Vector]:
    for code in _CONTROLS:
        name = f"control {code[0]:#04x} in a"
        yield vector(f"{name} path", get(b"/api/pro" + code + b"ducts"), {CLOSED, 400, 404, 505})
        yield vector(
            f"{name} method", get().replace(b"GET", b"G" + code + b"ET", 1), {CLOSED, 400, 405}
        )
        yield vector(f"{name} name", get(headers=b"A" + code + b"B: 1\r\n"), {200, 400})
        yield vector(f"{name} value", get(headers=b"A: 1" + code + b"2\r\n"), {200, 400})
        yield vector(
            f"{name} first name", get().replace(b"Host", code + b"Host", 1), {CLOSED, 200, 400}
        )
        yield vector(
            f"{name} host", get().replace(b"Host: x", b"Host: x" + code + b"y", 1), {200, 400}
        )
        yield vector(f"{name} id", get(headers=b"X-Request-ID: a" + code + b"b\r\n"), {200, 400})
        session = b"X-Session-ID: 0123456789abcdef" + code + b"\r\n"
        yield vector(f"{name} session", get(b"/api/cart", session), {200, 400})
    for code in entries(r'(¦)¦,¦/¦;¦<¦=¦>¦?¦@¦[¦\\¦]¦{¦}¦"'):
        yield vector("separator in a name", get(headers=b"A" + code + b"B: 1\r\n"), {200, 400})
    for code in (b"\x80", b"\xa0", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8"):
        yield vector("byte in a name", get(headers=b"A" + code + b"B: 1\r\n"), {200, 400})
        yield vector("byte in a value", get(headers=b"A: 1" + code + b"\r\n"), {200, 400})


def _line_ends() -> Iterator[Vector]:
    whole = get(headers=b"A: 1\r\n")
    for end in entries(r"\n¦\r¦\n\r¦\r\r\n¦\r\n\r¦\x0b¦\x85¦\xe2\x80\xa8¦\x00"):
        yield vector("line ends", whole.replace(b"\r\n", end), {CLOSED, 200, 400, 408})
        for place in range(1, 5):
            lines = whole.split(b"\r\n")
            data = b"\r\n".join(lines[:place]) + end + b"\r\n".join(lines[place:])
            yield vector("one line end", data, {CLOSED, 200, 400, 408, 505})
    for fold in (b"\r\n ", b"\r\n\t", b"\n ", b"\r\n  \r\n ", b"\r "):
        yield vector("folded", get(headers=b"A: 1" + fold + b"2\r\n"), {200, 400})
        yield vector("folded host", get().replace(b"Host: x", b"Host:" + fold + b"x"), {200, 400})
        yield vector("folded length", post(b"Content-Length:" + fold + b"2\r\n", b"{}"), {400})
        data = post(b"Transfer-Encoding:" + fold + b"chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n")
        yield vector("folded coding", data, {400, 501})
    for before in (b"\r\n", b"\n", b"\r\n" * 50, b"\r\n \r\n", b"\0", b" ", b"\xef\xbb\xbf", b"\r"):
        yield vector("before", before + get(), {CLOSED, 200, 400})
    for header in entries(r"A:1¦A:¦A :1¦A\t:1¦: 1¦:¦A¦ A: 1¦A: 1:2¦A::¦A:\t1\t"):
        yield vector("header", get(headers=header + b"\r\n"), {200, 400})


def _hosts() -> Iterator[Vector]:
    good = entries(r"x¦X.example¦10.0.0.10¦10.0.0.10:80¦[::1]¦[::1]:80¦x:¦x_y")
    bad = entries(r"¦ ¦a b¦a/b¦a@b¦a:b¦[::1¦::1¦a\tb¦\xff¦a,b c¦a?b¦a#b")
    bad += entries(r'http://a¦a\\b¦<a>¦"a"¦[a¦a]¦a:80:80¦a:-1¦a%zz¦a^b¦a|b')
    doubtful = [*entries(r"a..b¦.¦a:99999¦a%41¦-a¦a,b¦*¦a:0¦a;b¦a=b¦%00"), b"x" * 300]
    for value, version in product(good + bad + doubtful, (b"1.1", b"1.0")):
        # nginx asks the gateway for what it made of the name.
        allowed = {200} if value in good else {200, 400}
        line = b"GET /api/products/3 HTTP/%s\r\nHost: %s\r\n%s\r\n" % (version, value, ID)
        yield vector("host", line, allowed)
    for lines in (b"", b"Host x\r\n", b"Hosts: x\r\n", b"Host : x\r\n", b"X-Host: x\r\n"):
        head = b"GET /api/products/3 HTTP/1.1\r\n%s%s\r\n" % (lines, ID)
        yield vector("no host", head, BAD)
    for first, second in product((b"x", b"y", b""), (b"x", b"y", b"x, y")):
        head = b"GET /api/products/3 HTTP/1.1\r\nHost: %s\r\nhost: %s\r\n%s\r\n"
        yield vector("two hosts", head % (first, second, ID), BAD)


def _sizes() -> Iterator[Vector]:
    for size in (1_000, 4_000, 8_000, 8_300, 16_000, 32_000, 60_000, 300_000):
        yield vector("long path", get(b"/" + b"x" * size), {404} if size <= 8_000 else {414, 431})
        yield vector(
            "long query", get(b"/health?" + b"x" * size), {200} if size < 8_000 else {200, 414, 431}
        )
        yield vector(
            "long method", b"G" * size + b" / HTTP/1.1\r\nHost: x\r\n\r\n", {400, 414, 431}
        )
        value = get(headers=b"A: " + b"x" * size + b"\r\n")
        yield vector("long value", value, {200} if size < 8_000 else {200, 431})
        name = get(headers=b"x" * size + b": 1\r\n")
        yield vector("long name", name, {200} if size < 8_000 else {200, 431})
        cookie = get(b"/api/cart", b"Cookie: session=" + b"x" * size + b"\r\n")
        yield vector("long cookie", cookie, {200} if size < 7_000 else {200, 431})
    for count in (10, 50, 75, 90, 101, 200, 1_000, 5_000):
        lines = b"".join(b"A%d: 1\r\n" % number for number in range(count))
        yield vector("many headers", get(headers=lines), {200} if count <= 75 else {431})
    for size in (0, 1, BODY_MAX - 1, BODY_MAX, BODY_MAX + 1, 100_000, 300_000, 900_000, 2_000_000):
        for path in (b"/api/cart", b"/api/orders"):
            yield vector("body", sized(b" " * size, path), {400} if size <= BODY_MAX else {413})
        allowed = {404, 405} if size <= BODY_MAX else {404, 405, 413}
        yield vector("body for nobody", sized(b" " * size, b"/no"), allowed)
        yield vector("body for products", sized(b" " * size, b"/api/products"), allowed)
    expect = b"Expect: 100-continue\r\n"
    for size in (2, BODY_MAX + 1, 300_000):
        body = b"{}".ljust(size)
        yield vector("expect", sized(body, headers=expect), {400} if size <= BODY_MAX else {413})


def _connections() -> Iterator[Vector]:
    tokens = entries(
        r"close¦keep-alive¦close, keep-alive¦Host¦Content-Length¦Transfer-Encoding¦X-Request-ID"
    )
    tokens += [
        *entries(r"X-Session-ID¦Cookie¦¦,¦close\x00¦upgrade¦TE¦Connection¦X-Forwarded-For"),
        b"x" * 200,
    ]
    for token in tokens:
        line = b"Connection: " + token + b"\r\n"
        yield vector("connection", get(headers=line), {200, 400})
        yield vector("connection of a body", sized(b"{}", headers=line), BAD)
    values = entries(r"h2c¦websocket¦TLS/1.0¦HTTP/2.0¦x, y¦¦WebSocket¦h2c, websocket")
    for value, connection in product(
        values, (b"upgrade", b"Upgrade, HTTP2-Settings", b"close", b"keep-alive, Upgrade")
    ):
        lines = b"Connection: %s\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABk\r\n" % (
            connection,
            value,
        )
        lines += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        yield vector("upgrade", get(headers=lines), {200, 501})
        yield vector("upgrade of a body", sized(b"{}", headers=lines), {400, 501})
        chunked = post(lines + b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n")
        yield vector("upgrade of chunks", chunked, {400, 501})
    headers = entries(
        r"Expect: 100-continue¦Expect: x¦Expect:¦TE: trailers¦TE: chunked¦Trailer: Host"
    )
    headers += entries(
        r"Keep-Alive: timeout=99999¦Proxy-Connection: close¦Proxy-Authorization: Basic x"
        r"¦Range: bytes=0-1"
    )
    headers += entries(
        r"Range: bytes=-1,1-,x¦If-Match: *¦If-None-Match: *¦Accept-Encoding: *¦Accept: ;;"
        r"¦Content-Encoding: gzip"
    )
    headers += entries(
        r"X-HTTP-Method-Override: DELETE¦X-Original-URL: /internal/counts¦X-Rewrite-URL: /"
        r"¦X-Forwarded-Host: evil"
    )
    headers += entries(
        r"X-Forwarded-For: 127.0.0.1¦X-Forwarded-For: \x80¦Forwarded: for=127.0.0.1"
        r"¦X-Real-IP: 127.0.0.1"
    )
    for header in headers:
        yield vector("odd header", get(headers=header + b"\r\n"), {200, 400, 417})
        yield vector("odd header", sized(b"{}", headers=header + b"\r\n"), {400, 417})
        yield vector("from inside?", get(b"/internal/counts", header + b"\r\n"), {404, 200, 417})


def _credentials() -> Iterator[Vector]:
    values = [
        *entries(r"¦ ¦x¦../../etc/passwd¦' OR 1=1 --abcdefg"),
        b"a" * 16,
        b"a" * 64,
        b"a" * 65,
        b"a" * 5_000,
        b"\xff" * 16,
    ]
    values += [
        *entries(r"0123456789abcdef\t¦0123456789 abcdef¦0123456789abcde*¦cart:0123456789ab"),
        b"a" * 15 + b"\xc3",
        b"\xd9\xa0" * 16,
    ]
    for value in values:
        for path in (b"/api/cart", b"/api/orders/none"):
            yield vector("session", get(path, b"X-Session-ID: " + value + b"\r\n"), {200, 400, 404})
            yield vector(
                "cookie", get(path, b"Cookie: session=" + value + b"\r\n"), {200, 400, 404}
            )
        two = b"X-Session-ID: " + value + b"\r\nX-Session-ID: fedcba9876543210\r\n"
        yield vector("two sessions", get(b"/api/cart", two), {200, 400})
        key = b"Idempotency-Key: " + value + b"\r\n"
        yield vector("key", sized(b'{"items":[]}', b"/api/orders", key), BAD)
        yield vector("two keys", sized(b'{"items":[]}', b"/api/orders", key * 2), BAD)
        yield vector("request id", get(headers=b"X-Request-ID: " + value + b"\r\n"), {200, 400})
    for cookie in [
        *entries(r';¦=¦session¦session=¦a=b; session¦\xff=1¦session="x'),
        b"a=" + b"b;" * 900,
    ]:
        yield vector("odd cookie", get(b"/api/cart", b"Cookie: " + cookie + b"\r\n"), {200, 400})


FAMILIES = (
    _request_lines,
    _paths,
    _controls,
    _line_ends,
    _hosts,
    _sizes,
    _connections,
    _credentials,
)
