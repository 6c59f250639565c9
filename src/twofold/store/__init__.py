"""Embeddings at rest: an index that loses nothing it acknowledged and forgets what it must. No torch here.

what every engine does     index, given, where, recall
the local engine           local, finding, large; life, audit, upkeep
  its database             sqlite/
  what memory holds        following, exact, scan
  its cache                cache/
  erasing                  erasure, leftovers
  protection               protection/
engines elsewhere          remote/
without an index           near_pairs, cells, crowds; shards
"""

from twofold.store.index import Index

__all__ = ["Index"]
