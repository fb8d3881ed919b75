"""Harness processes whose machines outlive them.

What a dead run leaves, the next run on this host clears away, and another test's run may be the next at any moment.
So a test that looks at what is left has it signed by its own process, which lives on, and removes it by itself.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from typing import Final

import msgspec

from clusters import engine, leftovers, owner

SIGN: Final = """
import json, os
import msgspec
from clusters import owner
signed = msgspec.convert(json.loads(os.environ["SIGNED_BY"]), owner.Owner)
owner.current = lambda run: msgspec.structs.replace(signed, run=run)
"""


def signed_environment() -> dict[str, str]:
    """Return the environment in which a script that begins with SIGN names this process as the owner of its runs."""
    return os.environ | {"SIGNED_BY": json.dumps(msgspec.structs.asdict(owner.current("")))}


def remove() -> int:
    """Remove all that this process has signed; return how many containers, networks and folders it was."""
    pid = str(os.getpid())
    folders = [path for path in owner.runs_folder().glob("*") if (by := owner.signer(path)) and by.pid == pid]
    for folder in folders:
        shutil.rmtree(folder)
    if not isinstance(engine.look(), str):
        return len(folders)
    with closing(engine.connect()) as client:
        mine = {"label": f"{owner.PREFIX}pid={pid}"}
        containers = [row["Id"] for row in client.api.containers(all=True, filters=mine)]
        networks = [row["Id"] for row in client.api.networks(filters=mine)]
        leftovers.remove(client, containers, networks)
    return len(folders) + len(containers) + len(networks)
