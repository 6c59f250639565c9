"""Embeddings at rest: an index that loses nothing it acknowledged and forgets what it must. No torch here.

what every engine does     index, given, where, recall
the local engine           local, large; life, audit, upkeep
  its database             database, tables, rows, connection, locks, mark
  what memory holds        following, exact, scan
  its cache                cache, building, approximate, lists, columns
  erasing                  erasure, leftovers
  protection               protect, seals, sealed, rotation
engines elsewhere          remote; postgres, postgres_server; milvus, milvus_server
without an index           near_pairs, cells; shards
"""

from twofold.store.index import Index

__all__ = ["Index"]
