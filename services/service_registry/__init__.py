"""The service registry: who is where, as long as they say so."""
