"""Losses by name: what a recipe may call `loss` (law 12)."""

from twofold.losses.pairs import contrastive
from twofold.losses.softmax import nt_xent
from twofold.losses.triplets import triplet

__all__ = ["contrastive", "nt_xent", "triplet"]
