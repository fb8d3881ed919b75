"""The node agent: runs on every node and serves JSON lines on its standard streams.

It travels over stdin (see carrier.py), so it imports nothing but the standard library and the files beside it, and runs
under the node's own python3 >= 3.9 with `-ISu`. Requests are {"id", "cmd", "args"}, replies {"id", "ok"} or {"id",
"error", "errno"}; its first line is a hello without an id. It owns one server process, the clocks that this sees, and
chains of iptables. When its stdin closes, or it is told to end, it kills every process that it started, drops the
rules and exits: a harness that dies by kill -9 leaves nothing behind.

One thread, one selector: a request that takes long (`run`) is a child of the loop, or stdin's end would wait for it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from clusters.agent import condition
from clusters.agent.clients import Clients
from clusters.agent.damage import Damage
from clusters.agent.disk import TRIAL_LIMIT_S, Disk
from clusters.agent.duty import Duty, pending
from clusters.agent.firewall import CHAIN, Firewall, address, coming_from, shape_rules
from clusters.agent.gate import Gate
from clusters.agent.jobs import Jobs
from clusters.agent.memory import Memory
from clusters.agent.packets import Packets
from clusters.agent.probes import Probes
from clusters.agent.processes import (
    LIBC,
    PR_SET_CHILD_SUBREAPER,
    Refused,
    descendants,
    judge,
    parents,
    spawn,
    thread_states,
    tool,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusters.agent.clock import Clock

QUEUE_FIRST = 4711
READ_BYTES_MAX = 4 << 20  # one reply, before base64
KILL_TIMEOUT_S = 2.0
LATER = object()  # a command's result that says: the reply comes when the child has ended


class Agent:
    """Serves requests until its stdin closes; the methods `do_…` are the commands."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.firewall = Firewall()
        self.packets = Packets(QUEUE_FIRST)
        self.clients = Clients(self.firewall, self.selector)
        self.clock: Clock | None = None  # made when it is wanted
        self.duty = Duty(self.family)
        self.memory = Memory(self.family)
        self.probes = Probes()
        self.peers: list[str] = []
        self.inherited = condition.mounts()
        self.gate = Gate(self.selector)
        self.disk = Disk(self.gate, self.kill_all)
        self.damage = Damage(self.disk, self.family)
        self.server: subprocess.Popen[bytes] | None = None
        self.jobs = Jobs(self.selector)
        self.number, self.half_line, self.ending = 0, b"", False  # the number is that of the request being answered

    def serve(self) -> None:
        wake, waker = os.pipe()
        for descriptor in (wake, waker, 0):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.end)
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # a server's orphans fall to us, so that the end finds them
        self.selector.register(0, selectors.EVENT_READ, self.take_requests)
        self.selector.register(wake, selectors.EVENT_READ, lambda: os.read(wake, 4096))
        self.reply({"hello": {"pid": os.getpid(), "python": sys.version.split()[0]}})
        with contextlib.ExitStack() as at_the_end:  # each, whatever becomes of the others
            at_the_end.callback(self.disk.close)
            at_the_end.callback(self.clients.packets.close)
            at_the_end.callback(self.packets.close)
            at_the_end.callback(self.firewall.heal)
            at_the_end.callback(self.kill_all)  # called first: nothing may speak once the rules are gone
            while not self.ending:
                for key, _ in self.selector.select(self.expire()):
                    key.data()
                self.reap()

    def end(self, *_: object) -> None:
        self.ending = True

    def take_requests(self) -> None:
        chunk = os.read(0, 1 << 20)
        if not chunk:
            self.end()
        *lines, self.half_line = (self.half_line + chunk).split(b"\n")
        for line in lines:
            self.answer(line)

    def answer(self, line: bytes) -> None:
        self.number = 0
        try:
            request = json.loads(line)
            self.number = request["id"]
            result = self.command(request["cmd"])(**request.get("args", {}))
        except Exception as error:  # whatever it is: the harness is told, and the node goes on
            text = str(error) if isinstance(error, (Refused, OSError)) else f"{type(error).__name__}: {error}"
            self.reply({"id": self.number, "error": text, "errno": getattr(error, "errno", None)})
        else:
            if result is not LATER:
                self.reply({"id": self.number, "ok": result})

    def command(self, name: str) -> Callable[..., object]:
        """Return the method for a command: one of ours, or of a part that has commands of its own."""
        for part in (self, self.disk, self.damage):
            method: Callable[..., object] | None = getattr(part, f"do_{name}", None)
            if method is not None:
                return method
        raise Refused(f"unknown command {name!r}")

    def reply(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(1, data) :]
        except OSError:  # nobody listens any more
            self.end()

    def reap(self) -> None:
        """Collect every child that ended: ours, and orphans that fell to us."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if self.server is not None and pid == self.server.pid:
                    self.server.returncode = os.waitstatus_to_exitcode(status)
                    self.server = None
                elif (message := self.jobs.finish(pid, os.waitstatus_to_exitcode(status))) is not None:
                    self.reply(message)

    def kill_all(self) -> None:
        """Kill every process below us, stopped ones too, and wait until none is left."""
        deadline = time.monotonic() + KILL_TIMEOUT_S
        while below := descendants(os.getpid(), parents()):
            for pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise Refused(f"processes {sorted(below)} survive SIGKILL")
            time.sleep(0.001)
            self.reap()

    def do_setup(self, ip: str, folder: str, peers: list[str], rights: list[str]) -> None:
        """Take the node's address, its folder, the other nodes' addresses, and what it may be asked for; once."""
        self.peers = [address(peer) for peer in peers]
        self.disk.open(folder, rights)
        os.environ["XTABLES_LOCKFILE"] = f"{folder}.xtables.lock"  # the usual place is root's
        self.probes.bind(address(ip))
        self.selector.register(self.probes.socket, selectors.EVENT_READ, self.probes.take)
        if "filter" in rights:
            self.firewall.clear_leftovers()

    def do_wipe(self) -> None:
        """Kill everything, heal everything, empty the folder."""
        self.kill_all()
        self.duty.end()
        if self.clock:
            self.clock.heal()
        self.firewall.heal()
        self.shape({})
        self.clients.shape("", {})
        self.disk.wipe()
        self.damage.forget()

    def do_read(self, path: str, offset: int, size: int) -> dict[str, Any]:
        """Return a piece of a file in base64, where it starts, the file's size; a negative offset is from the end."""
        try:
            with open(self.disk.path(path), "rb") as file:
                total = file.seek(0, os.SEEK_END)
                start = file.seek(offset if offset >= 0 else max(0, total + offset))
                data = file.read(min(size, READ_BYTES_MAX))
        except FileNotFoundError:
            return {"data": "", "offset": 0, "size": 0}
        return {"data": base64.b64encode(data).decode(), "offset": start, "size": total}

    def do_start(self, argv: list[str], env: dict[str, str], log: str) -> int:
        self.reap()
        if self.server is not None:
            raise Refused(f"the server is running already, as process {self.server.pid}")
        env = {"PATH": os.environ["PATH"], "HOME": self.disk.folder, "LANG": "C.UTF-8", **env}
        with open(os.path.join(self.disk.logs, log), "ab") as output:
            self.server = self.gate.spawn(argv, self.disk.folder, env=env, stdout=output, stderr=output)
        if self.clock:
            self.clock.follow()
        return self.server.pid

    def do_signal(self, number: int) -> None:
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def do_pending(self, number: int) -> bool:
        """Say whether a signal still waits to be delivered."""
        return pending(self.family(), number)

    def do_duty(self, period_s: float, share: float) -> None:
        """Stop the server for a share of each period, until this is called with 0, 0."""
        if share:
            self.duty.begin(period_s, share)
        else:
            self.duty.end()

    def do_duty_stops(self) -> int:
        """Return how often the cycle has stopped every thread of the server."""
        return self.duty.stops

    def do_limit_memory(self) -> None:
        self.memory.limit()

    def do_free_memory(self) -> None:
        self.memory.free()

    def do_memory(self) -> list[list[int]]:
        return self.memory.report()

    def do_state(self) -> str:
        family = self.family()
        return judge([state for pid in family for state in thread_states(pid)]) if family else "dead"

    def family(self) -> list[int]:
        """Return the server and all processes below it; empty where it is dead."""
        self.reap()
        return [self.server.pid, *descendants(self.server.pid, parents())] if self.server else []

    def do_block(self, sources: list[str]) -> None:
        self.firewall.block(sorted({address(source) for source in sources}))

    def do_blocked(self) -> list[str]:
        return sorted(self.firewall.counts())

    def do_shape(self, links: dict[str, dict[str, float]]) -> None:
        """Lose, hold, double or damage packets by their source: the full state, {} heals."""
        self.shape({address(source): figures for source, figures in links.items()})

    def shape(self, links: dict[str, dict[str, float]]) -> None:
        if self.packets.socket is not None:
            self.selector.unregister(self.packets.socket)
        self.firewall.shape([])  # first: nothing new is held while the queues are changed
        self.packets.shape(links)
        if self.packets.socket is not None:
            self.selector.register(self.packets.socket, selectors.EVENT_READ, self.packets.take)
        if links:
            self.firewall.shape(shape_rules((coming_from(source), link) for source, link in self.packets.links.items()))

    def do_shaped(self) -> dict[str, Any]:
        """Return how many rules shape packets, and by source what was done to them."""
        return {"rules": self.firewall.shaping(), "links": self.packets.report()}

    def do_access(self, clients: str, links: dict[str, dict[str, float]]) -> None:
        """Lose, hold, double or damage packets from and to clients, by direction: the full state, {} heals."""
        self.clients.shape(address(clients), links)

    def do_accessed(self) -> dict[str, Any]:
        """Return how many rules there are on the clients' links, and by direction what was done to packets."""
        return self.clients.report()

    def do_trial_send(self, targets: list[str], count: int, size: int) -> None:
        """Send numbered test packets to all targets."""
        self.probes.send_trials([address(target) for target in targets], count, size)

    def do_trial(self) -> dict[str, Any]:
        """Return by source how test packets have fared since this was asked last."""
        return self.probes.trial()

    def do_skew(self, programme: list[list[float]], clocks: list[str]) -> None:
        self.servers_clock().skew(programme, clocks)

    def do_unskew(self) -> None:
        """Put every clock right; an error where the skew did not hold all the time."""
        if trouble := self.servers_clock().heal():
            raise Refused(f"the skew did not hold all the time: {trouble}")

    def do_clock(self) -> list[dict[str, Any]]:
        return self.servers_clock().read()

    def servers_clock(self) -> Clock:
        """Return what skews the server's clock; to compile it is a third of a start, and few runs need it."""
        if self.clock is None:
            from clusters.agent.clock import Clock

            self.clock = Clock(self.family)
        return self.clock

    def do_condition(self) -> dict[str, list[str]]:
        """Return what faults may change of this node, by part; without a server there are no limits."""
        family = self.family()
        ours = descendants(os.getpid(), parents())
        skewed = self.clock.skewed() if self.clock else 0
        parts = {
            **condition.network(),
            "mounts": condition.own_mounts(self.disk.folder, self.inherited),
            "held": condition.held(family),
            "clocks": [f"{skewed} processes that see a skewed time"] if skewed else [],
            "duty": self.duty.cycle(),
            "strays": condition.names(ours.difference(family, self.jobs.running)),
        }
        return parts | {"limits": condition.limits(family[0])} if family else parts

    def do_reset_connections(self) -> None:
        """Destroy the sockets to our peers; where kernel or node lack the means, TCP finds back by itself, later."""
        if self.peers:
            with contextlib.suppress(Refused):
                tool(["ss", "-K", "-t", "-H", " or ".join(f"dst {peer}" for peer in self.peers)])

    def do_probe_reset(self) -> None:
        self.probes.reset()
        if CHAIN in self.firewall.hooked:
            tool(["iptables", "-Z", CHAIN])

    def do_probe_send(self, targets: list[str]) -> None:
        self.probes.send([address(target) for target in targets])

    def do_probe(self) -> dict[str, list[str]]:
        dropped = [source for source, packets in self.firewall.counts().items() if packets]
        return {"heard": sorted(self.probes.take()), "dropped": sorted(dropped)}

    def do_run(self, argv: list[str], limit_s: float) -> object:
        job = spawn(argv, self.disk.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.jobs.start(self.number, job, limit_s)
        return LATER

    def do_try_disk(self) -> object:
        """Let a child write to the disk, held like the server; its output tells how that went."""
        job = self.gate.spawn(self.disk.trial(), "/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.jobs.start(self.number, job, TRIAL_LIMIT_S)
        return LATER

    def expire(self) -> float | None:
        """Let every part do what is due; return the seconds until the next of it, or None."""
        parts = (self.jobs, self.clock, self.packets, self.clients.packets, self.duty, self.gate, self.disk)
        ticks = (part.tick() for part in parts if part)
        return min((seconds for seconds in ticks if seconds is not None), default=None)


def main() -> None:
    """Serve the harness that sent us here."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
    Agent().serve()
