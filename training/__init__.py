"""Makes models (torch): data, quantisers, float networks, one flat loop, checkpoints, export to integers."""
