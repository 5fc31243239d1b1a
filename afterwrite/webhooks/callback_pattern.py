"""The rule for callback URLs as a regular expression for JSON Schemas, read alike by ECMA-262 and Python.

``guarded_http.check_callback_url`` decides, and reports what is wrong. It accepts every URL that the expression
matches, and some that no expression can classify: international names, addresses in unusual notations.
"""

URL_MAX_CHARACTERS = 2_000

_END = r"(?![^:/?#])"  # after a host: a port, a path, or nothing
_NOTHING_MORE = r"(?![\s\S])"  # Python's `$` would accept a trailing newline
_IN_HOST = "[A-Za-z0-9._-]"
_PORT = r"(?::(?:0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?)?"
_PATH = r"(?:[/?#][^\x00-\x1f\x7f]*)?"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = rf"{_OCTET}(?:\.{_OCTET}){{3}}{_END}"
_GROUP = "[0-9a-f]{1,4}"
_SHORTENED = "|".join(f"(?:{_GROUP}:){{1,{7 - after}}}(?::{_GROUP}){{1,{after}}}" for after in range(1, 7))
_IN_BRACKETS = f"(?:(?:{_GROUP}:){{7}}{_GROUP}|{_SHORTENED}|(?:{_GROUP}:){{1,7}}:|:(?::{_GROUP}){{1,7}}|::)"

# Same rule as ``guarded_http.is_public``.
_NOT_PUBLIC = r"""
(?:0|10|127|22[4-9]|2[3-5][0-9])\.
100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.
168\.63\.129\.16(?![0-9])
169\.254\.
172\.(?:1[6-9]|2[0-9]|3[01])\.
192\.168\.
192\.0\.[02]\.
192\.88\.99\.
198\.1[89]\.
198\.51\.100\.
203\.0\.113\.
"""
_PUBLIC_DOTTED = f"(?!{'|'.join(_NOT_PUBLIC.split())}){_DOTTED}"
_PUBLIC_IN_BRACKETS = (
    r"(?=2[4-9a-f][0-9a-f]{2}:|2001:(?!0?db8:)(?:0?[2-9a-f][0-9a-f]{2}|[1-9a-f][0-9a-f]{3}):)" + _IN_BRACKETS
)
_LOCALHOST = "".join(f"[{letter.upper()}{letter}]" for letter in "localhost")
_NUMBER = "(?:0[xX][0-9a-fA-F]*|[0-9]+)"  # many systems read a host that ends in a number as an address


def callback_pattern(*, allow_private: bool) -> str:
    """Build the expression; ``allow_private`` as in ``check_callback_url``."""
    if allow_private:
        name = rf"(?![0-9]+(?:\.[0-9]+){{3}}{_END})(?!\.){_IN_HOST}+"
        host = rf"(?:{name}|{_DOTTED}|\[{_IN_BRACKETS}\])"
    else:
        name = rf"(?!(?:{_IN_HOST}*\.)?(?:{_LOCALHOST}|{_NUMBER})\.*{_END})(?!\.){_IN_HOST}+"
        host = rf"(?:{name}|{_PUBLIC_DOTTED}|\[{_PUBLIC_IN_BRACKETS}\])"
    return rf"^[Hh][Tt][Tt][Pp][Ss]?://{host}{_PORT}{_PATH}{_NOTHING_MORE}"
