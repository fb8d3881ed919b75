"""What crashed runs left: found by whose it is, and removed where that process is certainly gone.

The agents have long stopped every server by then; what is left are idle containers, networks and folders.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from clusters import engine, owner

if TYPE_CHECKING:
    from docker import DockerClient

OURS = {"label": f"{owner.PREFIX}run"}
UNSIGNED_AGE_S = 60.0  # a folder that does not say whose it is may be in the making
REMOVERS = 8
REMOVAL_LIMIT_S = 10.0
RETRY_S = 0.05
FORBIDDEN, CONFLICT = 403, 409  # what the engine answers for a network, or a container, that is in use


def clean() -> list[str]:
    """Remove what runs left whose harness is gone, never what a living one uses; return a line for each thing."""
    removed = clean_folders()
    if isinstance(engine.look(), str):
        with closing(engine.connect()) as client:
            removed += clean_engine(client)
    return removed


def clean_folders() -> list[str]:
    """Remove the node folders of dead runs."""
    runs = owner.runs_folder()
    folders = [folder for folder in runs.iterdir() if folder.is_dir()] if runs.is_dir() else []
    dead = [folder for folder in folders if _abandoned(folder)]
    for folder in dead:
        shutil.rmtree(folder, ignore_errors=True)
    return [f"folder {folder}" for folder in dead]


def clean_engine(client: DockerClient) -> list[str]:
    """Remove the containers, with their volumes, and then the networks of dead runs."""
    containers = [row for row in client.api.containers(all=True, filters=OURS) if _dead(row)]
    networks = [row for row in client.api.networks(filters=OURS) if _dead(row)]
    remove(client, [row["Id"] for row in containers], [row["Id"] for row in networks])
    return [f"container {row['Names'][0].lstrip('/')}" for row in containers] + [
        f"network {row['Name']}" for row in networks
    ]


def remove(client: DockerClient, containers: list[str], networks: list[str]) -> None:
    """Kill and remove containers, all at once, and then networks; what is gone already is no error."""
    from docker.errors import APIError, NotFound

    def remove_container(container: str) -> None:
        try:
            client.api.remove_container(container, force=True, v=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != CONFLICT:
                raise
            with suppress(NotFound):  # somebody else is removing it: its network can go only after it
                client.api.wait(container, timeout=REMOVAL_LIMIT_S, condition="removed")

    with ThreadPoolExecutor(REMOVERS) as pool:
        list(pool.map(remove_container, containers))
    for network in networks:
        _remove_network(client, network)


def _remove_network(client: DockerClient, network: str) -> None:
    """Remove a network, waiting for a container to leave it that somebody else is removing: no list shows that one."""
    from docker.errors import APIError, NotFound

    deadline = time.monotonic() + REMOVAL_LIMIT_S
    while True:
        try:
            client.api.remove_network(network)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != FORBIDDEN or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_S)
        else:
            return


def _dead(row: Mapping[str, Mapping[str, str]]) -> bool:
    made_by = owner.parse(row["Labels"] or {})
    return made_by is not None and owner.gone(made_by)


def _abandoned(folder: Path) -> bool:
    made_by = owner.signer(folder)
    if made_by is not None:
        return owner.gone(made_by)
    try:
        return time.time() - folder.stat().st_mtime > UNSIGNED_AGE_S
    except OSError:  # somebody else removed it
        return False
