"""Weights & Biases: online when there is a key and a network, offline otherwise, and never in the way."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import shlex
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from lorasweep import files
from lorasweep.config import slug
from lorasweep.tracking.tracker import split_key

if TYPE_CHECKING:
    import wandb

    from lorasweep.config import Config

GROUPS = ("train", "val", "image", "time")
CONNECT_TIMEOUT = 2.0  # seconds to find out whether there is a network
INIT_TIMEOUT = 15.0  # seconds that a server may take to accept a run
FINISH_TIMEOUT = 120.0  # seconds to upload what is left; `wandb sync` uploads the rest later


class Wandb:
    """One W&B run.

    Args:
        run: the run, online or offline.
        name: name of the artifact that the weights belong to.
        sync: the command that uploads what is on disk.
        say: tells the user one line.
    """

    def __init__(self, run: wandb.Run, name: str, sync: str, say: Callable[[str], None]) -> None:
        self._run = run
        self._name = name
        self._sync = sync
        self._say = say
        # W&B's own step counts log() calls; ours is the optimizer step, so a resumed run draws over itself.
        run.define_metric("step")
        for group in (*GROUPS, "samples"):
            run.define_metric(f"{group}/*", step_metric="step")

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics against the optimizer step."""
        self._run.log({**values, "step": step})

    def images(self, images: Mapping[str, Path], step: int) -> None:
        """Log sample images with their prompts as captions."""
        import wandb

        media = {
            key: wandb.Image(str(path), caption=caption)
            for (key, caption), path in ((split_key(name), path) for name, path in images.items())
        }
        self._run.log({**media, "step": step})

    def weights(self, path: Path, aliases: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Log a weights file as an artifact of type model.

        The file is read where it lies, now or at the sync: W&B would otherwise copy every one into the home folder.
        """
        import wandb

        artifact = wandb.Artifact(self._name, "model", metadata=dict(metadata))
        artifact.add_file(str(path.absolute()), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact, aliases=list(aliases))

    def finish(self, status: str, summary: Mapping[str, float]) -> None:
        """Set the summary and close the run, within `FINISH_TIMEOUT` seconds."""
        self._run.summary.update({**summary, "status": status})
        if status != "complete":
            self._run.tags = (*(self._run.tags or ()), status)
        try:
            self._run.finish(exit_code=1 if status == "failed" else 0)
        except TimeoutError:
            self._say(f"W&B: the upload is not finished. Upload the rest with: {self._sync}")


def open_wandb(
    config: Config,
    folder: Path,
    version: int,
    *,
    say: Callable[[str], None],
    resumed: bool,
    job_type: str,
    init_timeout: float = INIT_TIMEOUT,
) -> Wandb | None:
    """Start the W&B run of a version; `wandb/` comes to lie in `folder`.

    Goes offline, and says so once with the command that uploads the run later, when asked to, without a key, without
    a network and when the server does not take the run.

    Args:
        config: the resolved config; all of it becomes the run's config.
        folder: the version folder.
        version: the version's number.
        say: tells the user one line.
        resumed: continue the run whose id the folder keeps.
        job_type: train, trial or evaluate.
        init_timeout: seconds that the server may take to accept the run.

    Returns:
        The tracker, or None where the environment says `WANDB_MODE=disabled` and the config does not disagree.
    """
    import wandb

    options = config.tracker.wandb
    mode = options.mode if options.mode != "auto" else os.environ.get("WANDB_MODE", "auto")
    if mode == "disabled":
        return None
    # W&B writes a traceback to the terminal for each refused connection of its telemetry.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    settings = wandb.setup(wandb.Settings(silent=True)).settings
    reason = "you asked for it" if mode in ("offline", "dryrun") else _obstacle(settings)

    run_id = _run_id(folder / "wandb" / f"{job_type}.id", resumed)

    def init(mode: Literal["online", "offline"], run_id: str) -> wandb.Run:
        return wandb.init(
            project=options.project,
            entity=options.entity,
            group=options.group or config.name,
            job_type=job_type,
            name=f"{config.name} v{version}",
            id=run_id,
            # Offline W&B cannot look a run up: its parts are joined by their id at the sync.
            resume="allow" if mode == "online" else None,
            tags=_tags(config),
            config=dataclasses.asdict(config),
            dir=str(folder),
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                init_timeout=init_timeout,
                finish_timeout=FINISH_TIMEOUT,
                finish_timeout_raises=True,
            ),
        )

    offline_id = run_id
    run = None
    if reason is None:
        try:
            run = init("online", run_id)
        except Exception as error:
            reason = _first_line(error) or "the server did not take the run"
            # W&B's service does not give an id free that failed; the sync command puts the part right.
            offline_id = f"{run_id}-{_new_id()}"
    if run is None:
        run = init("offline", offline_id)
    sync = _sync_command(folder / "wandb", run_id, offline=reason is not None)
    if reason is None:
        say(f"W&B: {run.url}")
    else:
        say(f"W&B logs offline ({reason}). Upload it later with: {sync}")
    return Wandb(run, slug(config.name), sync, say)


def _run_id(path: Path, resumed: bool) -> str:
    """Return the id that the version folder keeps, or a new one that it keeps from now on."""
    if resumed and path.exists():
        return path.read_text().strip()
    run_id = _new_id()
    files.write_atomic(path, run_id + "\n")
    return run_id


def _new_id() -> str:
    return secrets.token_hex(5)


def _sync_command(folder: Path, run_id: str, *, offline: bool) -> str:
    """Return the command that uploads all parts of a run: one part per process that worked on the version."""
    parts = f"{'offline-run' if offline else 'run'}-*-{run_id}*"
    renamed = any(not part.name.endswith(run_id) for part in folder.glob(parts))
    return f"wandb sync {f'--id {run_id} ' if renamed else ''}{shlex.quote(os.path.relpath(folder))}/{parts}"


def _tags(config: Config) -> list[str]:
    base = config.base_model.family if config.base_model.path else "toy"
    tags = [slug(config.name), config.recipe, base, f"rank {config.network.rank}", *config.tracker.wandb.tags]
    # W&B takes tags of 1 to 64 characters and refuses the whole run for another one.
    return list(dict.fromkeys(tag[:64] for tag in tags if tag))


def _obstacle(settings: wandb.Settings) -> str | None:
    """Return why the run cannot go online, or None."""
    if not (os.environ.get("WANDB_IDENTITY_TOKEN_FILE") or settings.api_key or _stored_key(settings.base_url)):
        return "no API key; `wandb login` stores one"
    if not reachable(settings.base_url):
        return f"{settings.base_url} cannot be reached"
    return None


def _stored_key(url: str) -> str | None:
    """Return the key that `wandb login` stored in netrc for this server."""
    from wandb.sdk.lib import wbauth

    return wbauth.read_netrc_auth(host=wbauth.HostUrl(url))


def reachable(url: str, timeout: float = CONNECT_TIMEOUT) -> bool:
    """Say whether something accepts TCP connections at `url` (at the proxy, where there is one) within `timeout` s."""
    target = urlsplit(url)
    proxy = getproxies().get(target.scheme)
    if proxy and not proxy_bypass(target.hostname or ""):
        target = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = target.port or (443 if target.scheme == "https" else 80)
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((target.hostname, port), timeout).close()
        except OSError:
            return
        connected.set()

    # In a thread, because a name server that does not answer is not bound by the timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout)
    return connected.is_set()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""
