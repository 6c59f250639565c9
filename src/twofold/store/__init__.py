"""Embeddings at rest: an index that loses nothing it acknowledged and forgets what it must. No torch here.

what every engine needs    index, engine (the protocol), addresses, arguments, filters, recall
the engine of a folder     local; lifetimes (dates, revocations), audit, upkeep (check and repair)
  its database             sqlite/
  exact search             memory (rows that follow the database), exact, scan
  approximate search       large, cache/
  erasing                  erasure, leftovers
  encryption               protection/
engines elsewhere          remote/
without an index           shards
"""

from twofold.store.index import Index

__all__ = ["Index"]
