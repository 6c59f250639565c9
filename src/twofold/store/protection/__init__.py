"""Vectors encrypted at rest."""
