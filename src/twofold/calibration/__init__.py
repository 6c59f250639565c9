"""What gives a trained bundle its thresholds, from identities that it has not seen."""
