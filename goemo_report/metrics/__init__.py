"""Multi-label metrics: counts, rankings and the scores that follow from them."""
