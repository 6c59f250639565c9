"""Near-duplicates: reading files, finding and judging copies, grouping them, and moving the rest to a trash folder."""
