"""Hostile framing and bodies: lengths, codings, chunks, pipelines, JSON, chance."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from tests.support.http_vectors import (
    ANY,
    APPLICATION,
    BAD,
    BODY_MAX,
    CLOSED,
    HIDDEN,
    ID,
    NOT_FOUND,
    OK,
    UNFINISHED,
    Vector,
    entries,
    get,
    post,
    sized,
    vector,
)

SEED = 20261128


_LENGTHS = entries(r"¦ ¦-1¦-0¦+2¦0x2¦2,2¦2, 2¦2 2¦1e0¦2.0¦2;¦two¦'2'")
_LENGTHS += [
    *entries(r"\xd9\xa2¦18446744073709551618¦9223372036854775808¦2\x00"),
    b"9" * 19,
    b"9" * 20,
    b"9" * 40,
]
_LENGTHS += entries(r"0b10¦2_0¦\x0b2¦2\x0c¦NaN¦-2¦2\r¦\xa02¦4294967298¦2,3¦,")
_LENIENT_LENGTHS = [b"2", b"02", b"002", b" 2", b"2 ", b"\t2\t", b"0000000000000000000002"]


def _lengths() -> Iterator[Vector]:
    for value, path in product(_LENGTHS, (b"/api/cart", b"/health", b"/no")):
        data = post(b"Content-Length: " + value + b"\r\n", b"{}", path)
        yield vector("bad length", data, {400, 404, 405, 413})
    for value in _LENIENT_LENGTHS:
        yield vector("length", post(b"Content-Length: " + value + b"\r\n", b"{}"), BAD)
    names = entries(
        r"Content-Length ¦Content-Length\t¦ Content-Length¦Content_Length¦CONTENT-LENGTH"
    )
    names += entries(
        r"content-length¦Content-Length:¦Content-Length\x00¦X\r\nContent-Length"
        r"¦\tContent-Length"
    )
    for name, value in product(names, (b"0", b"2", b"50")):
        data = post(name + b": " + value + b"\r\n", b"{}" + HIDDEN)
        yield vector("length's name", data, APPLICATION | UNFINISHED)
    for first, second in product((b"0", b"2", b"3"), (b"2", b"0", b"50", b"")):
        lines = b"Content-Length: %s\r\nContent-Length: %s\r\n" % (first, second)
        yield vector("two lengths", post(lines, b"{}" + HIDDEN), BAD)
    for length, body in ((0, b"{}"), (1, b"{}"), (2, b"{}" + HIDDEN), (1, b"{}" + HIDDEN)):
        yield vector("short", post(b"Content-Length: %d\r\n" % length, body), BAD)
    for method, path in product(
        (b"GET", b"HEAD", b"DELETE", b"OPTIONS"), (b"/api/cart", b"/no", b"/health")
    ):
        head = b"%s %s HTTP/1.1\r\nHost: x\r\n%s" % (method, path, ID)
        hidden = head + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
        yield vector("a body of", hidden, {200, 204, 400, 404, 405})
        yield vector("no length of", head + b"\r\n" + HIDDEN, {200, 204, 404, 405})


_CODINGS = entries(
    r"gzip¦identity¦x¦¦chunked, gzip¦gzip, chunked¦chunked, chunked¦chunked, identity"
)
_CODINGS += [
    b"xchunked",
    b"chunked x",
    b"chunkedx",
    b"chunke",
    b"'chunked'",
    b'"chunked"',
    b"chunked;q=1",
    b"chunked;",
]
_CODINGS += entries(
    r",chunked¦chunked,¦, chunked¦\x0bchunked¦chunked\x0b¦\xa0chunked¦chunked\x00¦\x00chunked"
)
_CODINGS += entries(
    r"c\thunked¦chunk\xc3\xa9d¦deflate, chunked¦trailers¦identity, chunked¦chunked, x"
    r"¦chunked\x0c"
)
_LENIENT_CODINGS = entries(r"chunked¦Chunked¦CHUNKED¦ chunked¦chunked ¦\tchunked\t")
_CODING_NAMES = entries(r"Transfer-Encoding¦transfer-encoding¦Transfer-Encoding ¦Transfer_Encoding")
_CODING_NAMES += entries(
    r" Transfer-Encoding¦X: 1\nTransfer-Encoding¦Transfer-Encoding\t¦Transfer\r-Encoding"
)


def _codings() -> Iterator[Vector]:
    chunked = b"2\r\n{}\r\n0\r\n\r\n"
    for value in _LENIENT_CODINGS:
        data = post(b"Transfer-Encoding: " + value + b"\r\n", chunked)
        yield vector("coding", data, BAD if value.isalpha() else {400, 501})
        lines = b"Transfer-Encoding: " + value + b"\r\n"
        yield vector("coding in 1.0", post(lines, chunked, version=b"1.0"), {400})
    for value, version in product(_CODINGS, (b"1.1", b"1.0")):
        lines = b"Transfer-Encoding: " + value + b"\r\n"
        yield vector("bad coding", post(lines, chunked, version=version), {400, 501})
    for name, value in product(_CODING_NAMES[2:], (b"chunked", b"gzip")):
        data = post(name + b": " + value + b"\r\n", chunked)
        yield vector("coding's name", data, {*APPLICATION, 501, CLOSED})
    for first, second in product((b"chunked", b"gzip", b"identity"), repeat=2):
        lines = b"Transfer-Encoding: %s\r\nTransfer-Encoding: %s\r\n" % (first, second)
        yield vector("two codings", post(lines, chunked), {400, 501})


def _both_lengths() -> Iterator[Vector]:
    chunked = b"2\r\n{}\r\n0\r\n\r\n" + HIDDEN
    values = entries(r"chunked¦Chunked¦chunked ¦xchunked¦gzip, chunked¦identity¦\x0bchunked")
    for value, name, length, order in product(values, _CODING_NAMES, (2, 12, 200), (0, 1)):
        lines = [b"Content-Length: %d\r\n" % length, name + b": " + value + b"\r\n"]
        head = b"".join(lines[::-1] if order else lines)
        yield vector("both", post(head, chunked), {*APPLICATION, *UNFINISHED, 501})


def _chunks() -> Iterator[Vector]:
    head = b"Transfer-Encoding: chunked\r\n"
    good = [b"2", b"02", b"0000002", b"2;a=b", b"2;a", b'2;a="b"']
    bad = [*entries(r"¦-2¦+2¦0x2¦G¦2,¦2 2¦2.0¦2\x00¦\x002¦fffffffffffffffff"), b"f" * 40]
    bad += entries(r"\xd9\xa2¦2_¦x2¦2\x0b¦10000000000000002¦100000002¦2:a¦2=")
    doubtful = [*entries(r"2 ¦ 2¦2\t¦2 ;a¦2;¦2;;¦2;a\nb¦2;\x80¦2\r¦2\n"), b"2;" + b"a" * 9000]
    for size, rest in product(good, (b"0\r\n\r\n", b"0;x\r\n\r\n", b"00\r\n\r\n")):
        yield vector("chunk", post(head, size + b"\r\n{}\r\n" + rest), BAD)
    for size, rest in product(bad, (b"0\r\n\r\n", b"0\r\n\r\n" + HIDDEN)):
        yield vector("bad chunk", post(head, size + b"\r\n{}\r\n" + rest), {400, 413, *UNFINISHED})
    for size, rest in product(doubtful, (b"0\r\n\r\n", b"0\r\n\r\n" + HIDDEN)):
        yield vector(
            "doubtful chunk", post(head, size + b"\r\n{}\r\n" + rest), {400, 413, *UNFINISHED}
        )
    for end in (b"", b"\n", b"\r", b"x\r\n", b"\r\n\r\n", b"xx", b"\0\0", b"\n\r", b" \r\n"):
        for rest in (b"0\r\n\r\n", b"0\r\n\r\n" + HIDDEN, b"0\n\n", b"0\r\n"):
            yield vector("chunk's end", post(head, b"2\r\n{}" + end + rest), {400, *UNFINISHED})
    for last in entries(r"0¦0\r¦0\r\n¦0\r\n\r¦0\r\nx¦0\n\n¦0 \r\n\r\n¦-0\r\n\r\n¦0x0\r\n\r\n"):
        yield vector("last chunk", post(head, b"2\r\n{}\r\n" + last), UNFINISHED)
    for count in (100, 5_000, 40_000):
        body = b"1\r\n \r\n" * count + b"2\r\n{}\r\n0\r\n\r\n"
        yield vector("small chunks", post(head, body), {400})
    for length in (BODY_MAX, BODY_MAX + 1, 300_000):
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (length, b" " * length)
        yield vector("large chunk", post(head, body), {400} if length == BODY_MAX else {413})


def _trailers() -> Iterator[Vector]:
    lines = entries(
        r"A: 1¦Host: evil¦Content-Length: 50¦Transfer-Encoding: chunked¦X-Session-ID: evil"
    )
    lines += [
        *entries(r"Connection: close¦X-Request-ID: evil¦Idempotency-Key: k¦Cookie: session=x"),
        b"A:" + b"x" * 500,
    ]
    for line, count in product(lines, (1, 2, 30)):
        body = b"2\r\n{}\r\n0\r\n" + (line + b"\r\n") * count + b"\r\n"
        yield vector("trailer", post(b"Transfer-Encoding: chunked\r\n", body), BAD)
    for line in (b"bad", b"\0: 1", b" A: 1", b": 1", b"A B: 1", b"A: 1\0"):
        body = b"2\r\n{}\r\n0\r\n" + line + b"\r\n\r\n"
        yield vector("bad trailer", post(b"Transfer-Encoding: chunked\r\n", body), BAD)
    many = b"2\r\n{}\r\n0\r\n" + b"A: 1\r\n" * 20_000 + b"\r\n"
    yield vector("many trailers", post(b"Transfer-Encoding: chunked\r\n", many), {400, 413, 431})


def _pipelines() -> Iterator[Vector]:
    one = get()
    for count in (2, 3, 10, 50, 300):
        yield vector("pipeline", one * count, OK)
        yield vector("pipeline of bodies", sized(b"{}") * count, BAD)
        yield vector("pipeline of both", (one + sized(b"{}")) * count, OK)
    for rest in [
        *entries(r"junk\r\n\r\n¦\xff\xfe¦GET¦{}¦0\r\n\r\n"),
        b"\0" * 100,
        b"\r\n" * 100,
        HIDDEN,
    ]:
        yield vector("after", one + rest, OK)
        yield vector("after a body", sized(b"{}") + rest, BAD)
        yield vector("after the last", get(headers=b"Connection: close\r\n") + rest * 3, OK)
        yield vector("after HTTP/1.0", get(version=b"1.0") + rest, OK)
        yield vector("after a refusal", get(b"/no") + rest, NOT_FOUND)
        yield vector("after a body for nobody", sized(b"{}", b"/no") + rest, {404, 405})


def _bodies() -> Iterator[Vector]:
    texts = [
        b"",
        b"null",
        b"true",
        b"1",
        b'""',
        b"[]",
        b"{}",
        b"{",
        b"}",
        b"{]",
        b"nul",
        b"{'a':1}",
        b'{"a":1,}',
        b"\0",
    ]
    texts += [
        *entries(r'\xff¦\xef\xbb\xbf{}¦NaN¦{"a":NaN}¦-'),
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32"),
    ]
    texts += entries(
        r'{"\\ud800":1}¦{"product_id":"\\ud800","quantity":1}¦{"items":"\\udfff"}'
        r'¦{"\\ud83d\\ude00":1}'
    )
    texts += [
        *entries(r'{"\xed\xa0\x80":1}¦{"a":"\xc0\x80"}¦{"\\u0000":1}¦{"a\\u0000b":1}¦{"\x01":1}'),
        b'{"%s":1}' % (b"x" * 30_000),
    ]
    texts += [
        b"[" * 20_000,
        b'{"a":' * 9_000,
        b"[" * 500 + b"]" * 500,
        b'{"items":' + b"[" * 900 + b"]" * 900 + b"}",
    ]
    numbers = [*entries(r'0¦-1¦1.5¦1e3¦1e999¦-0¦"1"¦true¦null¦[]¦{}¦NaN'), b"9" * 30, b"9" * 5_000]
    numbers += entries(r'Infinity¦2147483648¦99999999999999999999¦01¦+1¦1.0¦0.1e1¦"\\ud800"')
    lines = entries(
        r'{"product_id":%s,"quantity":1}¦{"product_id":1,"quantity":%s}'
        r'¦{"items":[{"product_id":%s,"quantity":1}]}'
    )
    texts += [line % number for line, number in product(lines, numbers)]
    texts += entries(
        r'{"items":[{"product_id":1,"quantity":1}],"from_cart":true}¦{"from_cart":false}'
        r'¦{"from_cart":1}'
    )
    texts += [
        *entries(r'{"items":[]}¦{"items":[1]}¦{"items":[{}]}¦{"items":{}}'),
        b'{"items":' + b"[%s]}" % b",".join([b"{}"] * 60),
    ]
    texts += entries(
        r'{"__proto__":{}}¦{"constructor":1}¦{"a":"${jndi:ldap://x}"}'
        r'¦{"product_id":{"$gt":0},"quantity":1}'
    )
    # 1.0 and 1e3 are no whole numbers; the orders that succeed are of products that exist.
    for text, (method, path) in product(
        texts, ((b"POST", b"/api/cart"), (b"PUT", b"/api/cart"), (b"POST", b"/api/orders"))
    ):
        head = b"%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (
            method,
            path,
            ID,
            len(text),
        )
        yield vector("json", head + text, {200, 201, 400, 409, 422})


def _cut_off() -> Iterator[Vector]:
    for whole in (
        get(),
        sized(b'{"product_id":1}'),
        post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    ):
        for length in range(8, len(whole) - 1, 23):
            # What follows makes something of it: another header, the rest of a body.
            yield vector("cut off", whole[:length], {CLOSED, 200, 400, 404, 405, 408, 501, 505})


def _in_pieces() -> Iterator[Vector]:
    chunked = post(b"Transfer-Encoding: chunked\r\n", b"2;a=b\r\n{}\r\n0\r\nA: 1\r\n\r\n")
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    for size in (1, 2, 3, 7, 16, 61):
        yield vector("pieces", get(), OK, size)
        yield vector("pieces of a body", sized(b"{}"), BAD, size)
        yield vector("pieces of chunks", chunked, BAD, size)
        yield vector("pieces of an upgrade", sized(b"{}", headers=upgrade), BAD, size)
        yield vector("pieces of a pipeline", get() * 5, OK, size)
        yield vector("pieces of junk", get() + b"junk\r\n\r\n", OK, size)
        yield vector("pieces of two hosts", get(headers=b"Host: y\r\n"), BAD, size)


def _mutations() -> Iterator[Vector]:
    chance = random.Random(SEED)
    seeds = [
        get(),
        sized(b'{"product_id":1,"quantity":1}', b"/api/orders"),
        get(b"/api/cart", b"Cookie: a=b\r\n"),
    ]
    seeds += [post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\nA: 1\r\n\r\n")]
    words = entries(
        r"\r\n¦\r\n\r\n¦\n¦\x00¦ ¦:¦chunked¦Content-Length: 5\r\n¦0\r\n\r\n¦\xff¦Host: y\r\n"
    )
    for number in range(500):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randint(1, 8)]
                case 2:
                    data[place:place] = chance.choice(words)
                case _:
                    data[place:place] = data[place : place + chance.randint(1, 40)]
        yield vector("mutation", bytes(data), ANY)


FAMILIES = (
    _lengths,
    _codings,
    _both_lengths,
    _chunks,
    _trailers,
    _pipelines,
    _bodies,
    _cut_off,
    _in_pieces,
    _mutations,
)
