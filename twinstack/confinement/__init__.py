"""What a service's processes are restricted to, and where a world falls short of it."""
