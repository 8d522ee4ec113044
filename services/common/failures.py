"""How a store can fail us; apart from the stores, so that who needs none imports none."""

from __future__ import annotations


class RedisDown(Exception):
    """Redis did not answer, or is being left alone for a moment because it did not."""


class DatabaseDown(Exception):
    """PostgreSQL did not answer in time, or refused us; nothing was committed."""


class OutcomeUnknown(Exception):
    """The connection broke during COMMIT: the transaction may or may not have happened."""
