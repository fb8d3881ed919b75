"""What watches delivered, taken apart into columns: lists of changes that may be twenty times as many as operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython

FITS = 1
"""What `flatten` returns where every change is one."""

MALFORMED = 2
"""Plus the number of a watch: it delivered what is no change."""

DELETED = 0
UNTOLD = 1
"""Numbers of values: of a deletion, and of one that the watch does not tell."""


def flatten(
    watches: list[Any],
    keys: dict[Any, int],
    names: dict[Any, int],
    name_of: Callable[[Any], Any],
    revision: cython.longlong[::1],
    key: cython.longlong[::1],
    name: cython.longlong[::1],
) -> int:
    """Write the parts of every change, which is [revision, key, value] or [revision, key], one after the other.

    Args:
        watches: of each, the list of its changes.
        keys: the number of each key; new ones are numbered here.
        names: the number of each value's name; new ones are numbered here.
        name_of: gives a hashable that is equal for equal values.
        revision, key, name: room for all changes.
    """
    at: cython.Py_ssize_t = 0
    watch: cython.Py_ssize_t
    changes: list
    change: list
    for watch in range(len(watches)):
        changes = watches[watch]
        for each in changes:
            if type(each) is not list:
                return MALFORMED + watch
            change = each
            size: cython.Py_ssize_t = len(change)
            if size < 2 or size > 3 or type(change[0]) is not int or type(change[1]) is not str:
                return MALFORMED + watch
            try:
                revision[at] = change[0]
            except OverflowError:
                return MALFORMED + watch
            number = keys.get(change[1])
            if number is None:
                number = keys[change[1]] = len(keys)
            key[at] = number
            if size == 2:
                name[at] = UNTOLD
            else:
                value = change[2]
                if type(value) is not int and type(value) is not str and value is not None:
                    value = name_of(value)
                number = names.get(value)
                if number is None:
                    number = names[value] = len(names)
                name[at] = number
            at += 1
    return FITS
