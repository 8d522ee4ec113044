"""One declared stack, two worlds: raw Linux primitives and Docker Compose."""
