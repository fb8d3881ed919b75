"""The one bucket that all facets share, so that a node has one raft to tell of: names, and how keys are spelt in it."""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

BUCKET: Final = "kingslayer"
STREAM: Final = f"KV_{BUCKET}"
SUBJECTS: Final = f"$KV.{BUCKET}.>"

encode: Final = msgspec.json.Encoder(order="deterministic").encode


def subject_of(space: str, key: Any) -> str:
    """Return the subject of a key: any JSON, in letters that a bucket takes; `space` keeps facets apart."""
    return f"$KV.{BUCKET}.{space}.{base64.urlsafe_b64encode(encode(key)).decode()}"
