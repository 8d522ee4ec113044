"""The software that every world runs: root trees, wheels, secrets and configurations."""
