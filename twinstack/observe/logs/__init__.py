"""The logs of a world's replicas: parsed, chosen, merged in order of time, and followed."""
