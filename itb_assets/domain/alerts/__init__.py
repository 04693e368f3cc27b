"""Alerts: what went wrong, whether it is the same thing as before, and whether somebody is told.

Tables, channels and clocks belong elsewhere; every function here is of what it is given.

`occurrence`  one report of a cause, its level and its identity
`incident`    occurrences of one identity, counted for as long as it is wrong
`muting`      silences, and what is worse and mutes the milder
`decision`    whether to tell
`verdict`     why, or why not
`routing`     channels by level, and what a message carries
"""

from __future__ import annotations

from itb_assets.domain.alerts.decision import (
    FLAPPING_WINDOW,
    SETTLED,
    STALE_AFTER,
    Repeat,
    changes_of,
    decide,
    flaps,
)
from itb_assets.domain.alerts.incident import Incident, RecentChanges, after
from itb_assets.domain.alerts.muting import Inhibition, Silence
from itb_assets.domain.alerts.occurrence import Level, Occurrence, fingerprint_of
from itb_assets.domain.alerts.routing import Message, Routing, message_of
from itb_assets.domain.alerts.verdict import Kind, Verdict, Why

__all__ = [
    "FLAPPING_WINDOW",
    "SETTLED",
    "STALE_AFTER",
    "Incident",
    "Inhibition",
    "Kind",
    "Level",
    "Message",
    "Occurrence",
    "RecentChanges",
    "Repeat",
    "Routing",
    "Silence",
    "Verdict",
    "Why",
    "after",
    "changes_of",
    "decide",
    "fingerprint_of",
    "flaps",
    "message_of",
]
