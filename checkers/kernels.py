"""Whether the kernels run compiled."""

from __future__ import annotations

from typing import Final

from checkers._kernels import unique_register

PLAIN: Final = (
    "the checkers' kernels were not compiled: they say the same, some 50 times slower; "
    "install a C compiler, and then kingslayer anew"
)
"""What a user should know where they are not."""


def compiled() -> bool:
    """Say whether the kernels are native code."""
    return not str(unique_register.__file__).endswith(".py")
