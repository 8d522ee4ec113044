"""Words of others made fit to be shown: a terminal must take none of them for an order; pure."""

from __future__ import annotations

import re


def visible(words: str) -> str:
    """Show what a name may hold and no reader can see: it is text, and nothing more."""
    if words.isprintable():
        return words
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in words)


def visible_lines(text: str) -> str:
    """Do the same for each line of a text; its ends of lines and tabs stay what they are."""
    if text.isprintable():
        return text
    return re.sub(r"[^\n\t]+", lambda found: visible(found[0]), text)


def cut(words: str, most: int) -> str:
    """Make a text visible, and shorten it at its end to so many letters."""
    shown = visible(words)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
