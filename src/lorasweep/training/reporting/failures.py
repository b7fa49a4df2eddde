"""What is said when a version fails: in words where the user can do something about it."""

from __future__ import annotations

import errno

from lorasweep.errors import UserError
from lorasweep.training.hardware.distributed import LostProcessError, PeerError
from lorasweep.training.memory import shortage
from lorasweep.training.reporting.advice import Advice
from lorasweep.training.reporting.diverged import diverged
from lorasweep.training.train_state import NonFiniteError
from lorasweep.training.version import Version

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explained(error: Exception, advice: Advice, version: Version, phase: str | None) -> Exception:
    """Turn what a user can do something about into words; leave the rest as it is, for the traceback.

    Args:
        error: that ended the version.
        advice: how it goes on.
        version: what was trained.
        phase: of the stopwatch, in which it failed; None in none.
    """
    record, step = advice.record, version.step + 1
    title, again = f"{record.stem} stopped", f"then go on with: {advice.resume_command}"
    if isinstance(error, NonFiniteError):
        return diverged(f"step {step}: {error}. The step was not taken and nothing was saved of it", version, record)
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        where = error.filename or record.folder
        message = f"{error.strerror} while writing {where}: every earlier file is whole. Make room, {again}"
        return UserError(message, title=title)
    if "does not have a deterministic implementation" in str(error):  # torch's words
        advice.changes = ("training.deterministic=false",)
        message = f"in step {step}: {str(error).partition('. ')[0]}"
        return UserError(message, title=title, ways={"go on without it": advice.resume_command})
    if isinstance(error, PeerError | LostProcessError):
        what = "failed" if isinstance(error, PeerError) else "is gone"
        return UserError(
            f"another process of this launch {what} in step {step} ({error}); what it printed says more. Put it "
            f"right, {again}",
            title=title,
        )
    if shortage.out_of_memory(error):
        where = shortage.PHASES.get(phase or "train", f"in step {step}")
        return UserError(shortage.out_of_memory_message(error, where), title=title, ways=advice.cures(phase or "train"))
    return error
