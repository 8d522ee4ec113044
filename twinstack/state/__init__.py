"""What an instance keeps on the host: paths, lock, journal, sysctls that it holds."""
