"""What confines each service's processes: the declared level, what /proc shows, seccomp."""
