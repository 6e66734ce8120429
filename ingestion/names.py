"""Column names: as programs like them, and those that come twice."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

__all__ = ["cleaned", "cleaned_all", "repeated"]

_ONE = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ı": "i"})
_TWO = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"})
_LOWER, _UPPER = "[a-z0-9ßæœþ]", "[A-ZẞÆŒÞ]"
_CASES = re.compile(f"({_LOWER})({_UPPER})|({_UPPER}+)({_UPPER}{_LOWER})")


def cleaned(name: str) -> str:
    """*name* in snake_case of ASCII letters, digits and _; nothing where it has no letter or digit of these."""
    plain = "".join(filter(_stays, unicodedata.normalize("NFKD", name.translate(_ONE))))
    parted = _CASES.sub(lambda match: f"{match[1] or match[3]}_{match[2] or match[4]}", plain)
    joined = "_".join(re.findall(r"[a-z0-9]+", parted.lower().translate(_TWO)))
    return f"_{joined}" if joined[:1].isdigit() else joined


def _stays(character: str) -> bool:
    """Not so accents, and what nobody sees."""
    return unicodedata.category(character) not in ("Mn", "Cf")


def cleaned_all(names: list[str]) -> list[str]:
    """All of *names* cleaned; column_<n> for the n-th of them, from 1, where nothing is left."""
    return [cleaned(name) or f"column_{number}" for number, name in enumerate(names, 1)]


def repeated(names: Iterable[str]) -> dict[str, int]:
    """Those of *names* that come more than once, and how often."""
    return {name: count for name, count in Counter(names).items() if count > 1}
