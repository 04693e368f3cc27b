"""What scores, returns and trades are worth, and how likely the worth is luck.

Fitting belongs to `training`, positions to `trading`; nothing here chooses rows or reads a file.
"""
