"""Embeddings at rest: an index that loses nothing it acknowledged and forgets what it must. No torch here."""

from twofold.store.index import Index

__all__ = ["Index"]
