"""What is sent for a cached body: its headers and its tag, made once for each body; pure.

A tag is made from the body alone, so it is the same at every instance and after a restart. A page
is made from the whole list, and so is its tag.
Source: RFC 9110, 8.8.3 (ETag), 13.1.2 (If-None-Match); RFC 8288 (Link).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from services.api.schemas import PAGE_DEFAULT
from services.common.wsgi import JSON, Answered, dump

Headers = Sequence[tuple[str, str]]
#: Products, and their list; beyond it all are made again.
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Representation:
    """A body, its tag, and the headers of a 200 and of a 304."""

    body: bytes
    tag: str
    whole: Headers
    unchanged: Headers

    def answered(self, source: str, if_none_match: str | None) -> Answered:
        """Give the answer; 304 if the client has it already. `source` is for X-Cache."""
        if if_none_match is not None and is_held(self.tag, if_none_match):
            return "304 Not Modified", [*self.unchanged, ("X-Cache", source)], b""
        return "200 OK", [*self.whole, ("X-Cache", source)], self.body


class Representations:
    """The representation of each key's last body. Safe in threads."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Representation] = {}

    def of(self, key: bytes, body: bytes) -> Representation:
        """Give what is sent for a body: as kept, if it is the key's last."""
        kept = self._kept.get(key)
        if kept is not None and kept.body == body:
            return kept
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        made = represent(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        self._kept[key] = made
        return made


def represent(body: bytes, tag: str, *more: tuple[str, str]) -> Representation:
    """Make the representation of a body, with these headers too."""
    unchanged = (("ETag", tag), ("Cache-Control", "no-cache"), *more)
    whole = (("Content-Type", JSON), ("Content-Length", str(len(body))), *unchanged)
    return Representation(body, tag, whole, unchanged)


def page(whole: Representation, path: str, limit: int | None, cursor: int | None) -> Representation:
    """Cut a page from the list: `limit` products, the first with an id above `cursor`."""
    limit = limit or PAGE_DEFAULT
    listed = json.loads(whole.body)
    left = [product for product in listed["products"] if product["id"] > (cursor or 0)]
    products = left[:limit]
    links, following = [f'<{path}?limit={limit}>; rel="first"'], None
    if len(left) > limit:
        following = f"{path}?limit={limit}&cursor={products[-1]['id']}"
        links.append(f'<{following}>; rel="next"')
    content = {**listed, "products": products, "count": len(products), "next": following}
    tag = f'"{whole.tag[1:-1]}-{limit}-{cursor or 0}"'
    return represent(dump(content), tag, ("Link", ", ".join(links)))


def is_held(tag: str, if_none_match: str) -> bool:
    """Tell whether an If-None-Match names this tag, by weak comparison, or says "*".

    Our tags have no comma, so that dividing other tags at theirs does no harm.
    """
    if if_none_match in {tag, "*"}:
        return True
    given = (part.strip() for part in if_none_match.split(","))
    return any(part.removeprefix("W/") == tag for part in given)
