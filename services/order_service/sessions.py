"""Sessions, and their ids, which only this service can make: a random name and its signature.

The stores know a session by its name alone, so nothing that they hold is an id to send. An id that
a client made up names no session.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass

from services.common.settings import SettingError
from services.common.wsgi import ApiError

COOKIE = "session"
HEADER = "X-Session-ID"
SECRET = "session_password"
_NAME_BYTES = _SIGNATURE_BYTES = 18
_NAME_LENGTH = 24  # 18 bytes in base64


@dataclass(frozen=True, slots=True)
class ClientSession:
    """One client's session."""

    name: str  # to the stores
    id: str  # to the client


class Sessions:
    """Make and recognize sessions: every process that has the same `key` knows the same ones.

    Raises: SettingError for an empty key, with which anybody could sign.
    """

    def __init__(self, key: str) -> None:
        if not key:
            cause = "no such file in SECRETS_DIR; write one, the same for every replica"
            raise SettingError(f"{SECRET}: cannot sign session ids: {cause}")
        self._key = key.encode()

    def make(self) -> ClientSession:
        """Make a session; nothing is stored."""
        return self._named(secrets.token_urlsafe(_NAME_BYTES))

    def find(self, header: str | None, cookie: str | None) -> ClientSession | None:
        """Give the session of a request, if it has one; the header goes before the cookie.

        A cookie that is not ours is as none: a browser cannot help what it holds.
        Raises: ApiError 400 for a header that is not ours.
        """
        given = header or cookie or ""
        session = self._named(given[:_NAME_LENGTH])
        if hmac.compare_digest(_bytes(session.id), _bytes(given)):
            return session
        if header:
            message = f"{HEADER} is not an id that was given out here"
            raise ApiError(400, "bad_request", message, field=HEADER)
        return None

    def form_token(self, session: ClientSession) -> str:
        """Give what a page puts into its forms: no other site can know it."""
        digest = hmac.digest(self._key, f"form:{session.name}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()

    def _named(self, name: str) -> ClientSession:
        signature = hmac.digest(self._key, _bytes(name), "sha256")[:_SIGNATURE_BYTES]
        return ClientSession(name, name + base64.urlsafe_b64encode(signature).decode())


def _bytes(text: str) -> bytes:
    """Encode whatever a client sent, lone surrogates too."""
    return text.encode(errors="surrogatepass")
