"""Pictures to embeddings, without sockets."""
