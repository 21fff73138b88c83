"""DataTrails: the asset-free Events API of May 2025 and its public Merkle log."""
