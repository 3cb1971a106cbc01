"""What was computed once and is kept by the digests it follows from; safe to delete."""
