"""The world, inwards: an exchange's format in, canonical klines out.

Nothing here writes a file of ours, knows Dagster, logs, or reads the environment.
"""
