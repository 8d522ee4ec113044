"""What an instance keeps on the host: directories, lock, journal, sysctls held for a while."""
