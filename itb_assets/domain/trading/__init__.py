"""Positions on paper: the rule that opens and ends them, what they earned, and the frame they are kept in.

What a result is worth, how likely it is luck, and trades that were executed anywhere do not belong here.
"""
