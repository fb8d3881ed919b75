"""What dead runs left is removed also while somebody else is at it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from clusters import leftovers


class Engine:
    """An engine whose network is in use, or gone, for the first few requests to remove it."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.api = self

    def remove_network(self, network: str) -> None:
        """Refuse with the next answer; agree when there is none left."""
        if self.answers:
            status = self.answers.pop(0)
            kind = NotFound if status == 404 else APIError
            raise kind("no", response=SimpleNamespace(status_code=status))


@pytest.mark.parametrize("answers", [(), (404,), (403, 403), (403, 404)])
def test_a_network_is_removed_once_its_last_container_has_left(answers: tuple[int, ...]) -> None:
    """A refusal is waited out; a network that is gone is no error."""
    engine: Any = Engine(*answers)
    leftovers.remove(engine, [], ["net"])
    assert engine.answers == []


def test_a_network_that_stays_in_use_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end, and any other refusal is told at once."""
    monkeypatch.setattr(leftovers, "REMOVAL_LIMIT_S", 0.1)
    for answers in ([403] * 1000, [500]):
        engine: Any = Engine(*answers)
        with pytest.raises(APIError):
            leftovers.remove(engine, [], ["net"])
