"""Pictures to embeddings: safe decoding, detection, tracklets, re-identification, colours, and cards of the models."""
