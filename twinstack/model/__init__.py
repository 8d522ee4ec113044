"""What is declared and what is decided from it: topology, checks, addresses, plan. Pure."""
