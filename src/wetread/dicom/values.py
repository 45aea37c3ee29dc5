"""One raw data element to plain values.

In: the bytes of an element, its VR, the character sets.  Out: str, int, float or a tuple of them.
Never: bulk data (OB, OW, ...), a float that JSON cannot hold (they become the text ``NaN``).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings, decode_bytes

from wetread.domain.study import Scalar

Plain = Scalar | tuple[Scalar, ...]

#: Longer values are left out of the header: nothing we match on is that long.
MAX_VALUE_BYTES = 4096

# PS3.5 section 6.2: binary numbers by struct code
BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
# PS3.5 section 6.1.2.2: the VRs that Specific Character Set applies to
_CHARSET_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
# One value, in which a backslash is an ordinary character
_SINGLE_TEXT = frozenset({"LT", "ST", "UR", "UT"})
_TEXT = _CHARSET_TEXT | _SINGLE_TEXT | {"AE", "AS", "CS", "DA", "DT", "TM", "UI"}
# PS3.3 table C.12-2: the longest name has 16 letters
_NO_CHARSET = re.compile(r"[^A-Za-z0-9_ ]")
_LONGEST_CHARSET, _MOST_CHARSETS = 16, 16
_INTEGER_LIMIT = 1 << 63
_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x09, 0x5C, 0x5E, 0x3D}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How the values of a data set are written."""

    is_little_endian: bool = True
    #: Python names of the character sets, first one default.
    charsets: tuple[str, ...] = ("iso8859",)
    #: Pixel Representation: whether "US or SS" attributes are signed.
    is_signed: bool = False


def python_encodings(names: Sequence[str]) -> tuple[str, ...]:
    """Return Python's names of the character sets of Specific Character Set (PS3.3 C.12.1.1.2)."""
    # pydicom warns of unknown ones by name: what a sender wrote must not act in a log.
    harmless = [_NO_CHARSET.sub("?", name)[:_LONGEST_CHARSET] for name in names[:_MOST_CHARSETS]]
    return tuple(convert_encodings(harmless or ""))


def plain_value(vr: str, value: bytes, encoding: Encoding) -> Plain | None:
    """Return the value of one element; None for VRs, lengths and empty numbers that headers leave out.

    Parameters
    ----------
    vr
        Value Representation, also the dictionary's ``"US or SS"``.
    value
        As it stands in the data set.

    Notes
    -----
    Decimal and integer strings that are no numbers stay text, so that nothing is lost;
    numbers that are not finite become the text ``"NaN"``, ``"inf"`` or ``"-inf"``.
    """
    if len(value) > MAX_VALUE_BYTES or (not value and vr not in _TEXT):
        return None
    if vr == "DS":
        return _join([decimal_of(part) for part in split_numbers(value)])
    if vr == "IS":
        return _join([integer_of(part) for part in split_numbers(value)])
    if vr in _TEXT:
        return decode_text(vr, value, encoding)
    if " or " in vr:
        vr = ("SS" if encoding.is_signed else "US") if vr.startswith("US or SS") else ""
    if vr == "AT":
        return _join([f"({a:04X},{b:04X})" for a, b in unpack("HH", value, encoding)])
    if vr in BINARY:
        return _join([finite(one) for (one,) in unpack(BINARY[vr], value, encoding)])
    return None


def finite(number: float) -> Scalar:
    """Return the number, or its text (``"NaN"``, ``"inf"``) where JSON has none for it."""
    if isinstance(number, int) or math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else str(number)


def to_float(value: object) -> float:
    """Return a header value as a number; NaN for text, nothing, or several values."""
    if isinstance(value, int | float):
        # Integers that no float holds are text by now (``integer_of``).
        return float(value)
    return math.nan


def _join(values: list[Scalar]) -> Plain:
    if not values:
        return ""
    return values[0] if len(values) == 1 else tuple(values)


def split_numbers(value: bytes) -> list[str]:
    """Return the parts of a decimal or integer string, none for an empty one."""
    text = value.decode("ascii", "replace").strip("\0 ")
    return [part.strip("\0 ").replace("\0", " ") for part in text.split("\\")] if text else []


def decimal_of(text: str) -> Scalar:
    """Return a decimal string as a number, or the text where it is none."""
    try:
        return finite(float(text))
    except ValueError:
        return text


def integer_of(text: str) -> Scalar:
    """Return an integer string as a number, or the text where it is none or larger than 64 bits."""
    try:
        number = int(text)
    except ValueError:
        return decimal_of(text)
    # Larger ones fit neither a float nor a database; no counter is that large (PS3.5 6.2: 32 bits).
    return number if abs(number) < _INTEGER_LIMIT else text


def decode_text(vr: str, value: bytes, encoding: Encoding) -> str | tuple[str, ...]:
    """Return a text, a tuple where it has several values; padding is dropped."""
    if (vr in _CHARSET_TEXT and not value.isascii()) or b"\x1b" in value:
        text = decode_bytes(value, list(encoding.charsets), _DELIMITERS)
    else:
        text = value.decode("ascii", "replace")
    # No text holds NUL: PostgreSQL refuses it, and C programs would stop reading there.
    text = text.rstrip("\0 ").replace("\0", " ")
    if vr in _SINGLE_TEXT or "\\" not in text:
        return text.strip()
    return tuple(part.strip("\0 ") for part in text.split("\\"))


def unpack(code: str, value: bytes, encoding: Encoding) -> list[tuple[float, ...]]:
    """Return whole groups of binary numbers of one struct code; a cut last one is left out."""
    form = struct.Struct(("<" if encoding.is_little_endian else ">") + code)
    whole = len(value) - len(value) % form.size
    return list(form.iter_unpack(value[:whole]))
