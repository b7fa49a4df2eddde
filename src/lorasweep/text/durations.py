"""Durations as text."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration: `0.4 s`, `21 s`, `2 min 41 s`, `3 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def roughly(seconds: float) -> str:
    """Return an estimate without false precision: `about 20 s`, `about 2 min`, `about 3 h 10 min`."""
    if seconds < 50:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    minutes = round(minutes / 10) * 10
    return f"about {minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def clock_time(seconds: float) -> str:
    """Return a duration as a clock shows it: `1:05`, `2:03:04`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
