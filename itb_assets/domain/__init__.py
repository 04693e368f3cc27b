"""What is true of klines, features, labels, models and signals, whoever asks.

No clock, environment, disk, network, database or log: frames and frozen values in, new ones out.
"""
