"""Alerts as they are kept and sent: incidents, the outbox, and the channels behind it.

What is decided about an occurrence belongs to `domain.alerts`; connections are handed in, none is opened
here.
"""
