"""The product service: the catalogue, read through Redis."""
