"""The session of the request that is handled, and what a page of another site may not do in it.

A browser sends its cookie along with whatever a page asks for; SameSite=Lax keeps it from other
sites' POSTs, but another port of this host is the same site; and the answer to a POST without it
would replace the client's session by a new one. So what changes something is refused if it comes
with the Origin of another host, or the browser says that it is from elsewhere; not if it names its
session in a header, which no page can. (The host alone is compared: nginx passes it without its
port. `Sec-Fetch-Site` has the port, where browsers send it.) The shop's forms have a token as well.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from flask import Response, request

from services.common.wsgi import ApiError
from services.order_service import sessions
from services.order_service.sessions import ClientSession, Sessions

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OUR_SITE = frozenset({"same-origin", "none"})


class Visits:
    """The clients' sessions, as requests show them and answers set them."""

    def __init__(self, known: Sessions, ttl_s: int) -> None:
        self._known = known
        self._cookie_tail = f"; Max-Age={ttl_s}; HttpOnly; Path=/; SameSite=Lax"

    def find(self) -> ClientSession | None:
        """Give the request's session, if it has one. Raises: ApiError 400, 403."""
        header = request.headers.get(sessions.HEADER)
        if not header and request.method not in _SAFE and _is_from_elsewhere():
            raise ApiError(403, "cross_site", "a page of another site sent this")
        return self._known.find(header, request.cookies.get(sessions.COOKIE))

    def find_or_make(self) -> ClientSession:
        """Give the request's session, or a new one. Raises: ApiError 400, 403."""
        return self.find() or self._known.make()

    def keep(self, response: Response, session: ClientSession) -> Response:
        """Tell the client its session."""
        response.headers[sessions.HEADER] = session.id
        response.headers["Set-Cookie"] = f"{sessions.COOKIE}={session.id}{self._cookie_tail}"
        return response

    def token(self, session: ClientSession) -> str:
        """Give the token of the session's forms."""
        return self._known.form_token(session)

    def of_form(self) -> ClientSession:
        """Give the session of a form that one of our pages has shown it. Raises: ApiError."""
        session = self.find()
        token = request.form.get("token", "").encode(errors="surrogatepass")
        if session is None or not hmac.compare_digest(token, self.token(session).encode()):
            message = "this form was shown in another session, or cookies are off; open it again"
            raise ApiError(403, "form_expired", message)
        return session


def _is_from_elsewhere() -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") not in _OUR_SITE:
        return True
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).hostname != urlsplit(f"//{request.headers['Host']}").hostname
    except (KeyError, ValueError):
        return True
