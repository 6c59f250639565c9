"""The cache that a large local index is searched by: derived data, hashed, rebuilt at any time."""
