"""Evidence: exports with their proofs, and the verifiers that travel with them."""
