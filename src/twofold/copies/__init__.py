"""Near-duplicates: what is read of things, which of them are copies, who is kept, and where the others go."""
