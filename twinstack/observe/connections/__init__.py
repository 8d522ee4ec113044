"""Connections as the kernel keeps them: tracked, translated, and each namespace's sockets."""
