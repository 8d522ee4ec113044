"""The kernel's interfaces, and nothing of twinstack's own: netlink, /proc, iptables, files."""
