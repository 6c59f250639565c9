"""Scores in, numbers out: numpy only, in blocks, every interval by resampling identities."""
