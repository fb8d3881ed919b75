"""The clients' end of their links to the nodes: this process answers the nodes' test packets, and sends its own.

Clients in processes of their own have the same address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

from clusters.agent.probes import PORT, SO_TIMESTAMPNS, Probes
from harness.errors import ClusterError
from harness.protocols import Trial


class HarnessEndpoint:
    """Implements harness.protocols.Endpoint with a socket of this process, opened when it is first needed.

    Args:
        ip: the harness's own address on the nodes' network.
    """

    def __init__(self, ip: str) -> None:
        self.ip = ip
        self._probes: Probes | None = None

    async def trial_send(self, targets: Sequence[str], *, count: int, size: int) -> None:
        self._open().send_trials(list(targets), count, size)

    async def trial(self) -> Mapping[str, Trial]:
        return {source: Trial(**figures) for source, figures in self._open().trial().items()}

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._probes is not None:
            asyncio.get_running_loop().remove_reader(self._probes.socket)
            self._probes.socket.close()
            self._probes = None

    def _open(self) -> Probes:
        if self._probes is None:
            probes = Probes()
            try:
                probes.bind(self.ip)
                # a busy event loop reads late, and what it is late by is no delay of the link
                probes.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            except OSError as error:
                probes.socket.close()
                raise ClusterError(
                    f"UDP port {PORT} of {self.ip} cannot be taken: {error.strerror}",
                    "test packets between clients and nodes need it: end whoever has it (ss -ulp)",
                ) from error
            asyncio.get_running_loop().add_reader(probes.socket, probes.take)
            self._probes = probes
        return self._probes
