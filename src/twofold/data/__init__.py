"""What one learns from: items and pairs by reference, splits by identity, plans of batches. No torch here."""

__all__: list[str] = []
