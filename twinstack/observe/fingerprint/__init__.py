"""What a world runs as: named values read from its processes, networks, stores and answer."""
