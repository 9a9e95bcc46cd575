# SPDX-License-Identifier: MIT
"""Texts for the page: everything that comes from outside passes through here. A part of
report.py."""
import html
import re
import unicodedata

UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
JOINERS = "\u200c\u200d"  # needed to write some languages


def visible(character):
    """Control characters and those that turn the direction of the line around them are shown by
    their number."""
    if character in "\n\t" or character in JOINERS or unicodedata.category(
            character) not in UNPRINTABLE:
        return character
    return f"⟨U+{ord(character):04X}⟩"


def text(string, escaped=True):
    shown = string if string.isascii() and string.isprintable() else "".join(map(visible, string))
    return html.escape(shown, quote=True) if escaped else shown.replace("\n", " ")


def prose(string):
    """A sentence of the law, in which `…` stands for code and **…** for a word."""
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>",
                  re.sub(r"`([^`]+)`", r"<code>\1</code>", text(string)))


def label(string, length):
    """A name or title, escaped; one without a visible character would leave nothing to see or to
    press."""
    return text(clip(string, length)) if string.strip() else "(blank)"


def clip(string, length):
    return string if len(string) <= length else string[: length - 1] + "…"


def plural(number, word):
    return f"{number:,} {word}{'' if number == 1 else 's'}"
