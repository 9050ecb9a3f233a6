"""What lets a page run its own scripts and nothing else: a content security policy, and data that stay data."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

# In the text of a script element, these could end it or begin a comment; in a string of JSON, an escape says the same.
_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def json_text(values: Any) -> Markup:
    """Returns values as JSON for the inside of a `<script type="application/json">`, which no text in them can leave.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))  # noqa: S704 - escaped in the line above


def content_security_policy(scripts: Iterable[str], styles: Iterable[str], connects: bool = False) -> str:
    """Returns the policy of a page that holds exactly these scripts and style sheets.

    Args:
        scripts: texts of its script elements.
        styles: texts of its style elements.
        connects: whether the page may ask the server that it came from.
    """
    parts = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {' '.join(map(_hash, styles))}",
        "img-src data:",
        *(["connect-src 'self'"] if connects else []),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
