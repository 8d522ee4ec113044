"""Connections as the kernel has them: conntrack entries, NAT, and each namespace's sockets."""
