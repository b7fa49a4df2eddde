"""Whether there is a way to a W&B server: a key for it, and a network that leads there."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    import wandb

CONNECT_TIMEOUT = 2.0  # seconds to find out whether there is a network


def obstacle(settings: wandb.Settings) -> str | None:
    """Return why a run cannot go online, or None.

    Args:
        settings: of W&B, with the server's address and the key, if one is set.
    """
    if not (os.environ.get("WANDB_IDENTITY_TOKEN_FILE") or settings.api_key or _stored_key(settings.base_url)):
        return "no API key; `wandb login` stores one"
    if not reachable(settings.base_url):
        return f"{settings.base_url} cannot be reached"
    return None


def _stored_key(url: str) -> str | None:
    """Return the key that `wandb login` stored in netrc for this server."""
    from wandb.sdk.lib import wbauth

    return wbauth.read_netrc_auth(host=wbauth.HostUrl(url))


def reachable(url: str) -> bool:
    """Say whether something accepts TCP connections at `url` (at the proxy, where there is one) in time."""
    target = urlsplit(url)
    proxy = getproxies().get(target.scheme)
    if proxy and not proxy_bypass(target.hostname or ""):
        target = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = target.port or (443 if target.scheme == "https" else 80)
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((target.hostname, port), CONNECT_TIMEOUT).close()
        except OSError:
            return
        connected.set()

    # In a thread, because a name server that does not answer is not bound by the timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT)
    return connected.is_set()
