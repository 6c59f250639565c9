"""The one truth of a local index: a SQLite database."""
