"""Executed trades, inwards: the old bot's records and an exchange's export in, canonical fills out.

What fills make together belongs to `domain.executed`, where they are kept to `storage`.
"""

from itb_assets.sources.trades.reading import BadLine, FillFile, read_fills

__all__ = ["BadLine", "FillFile", "read_fills"]
