"""The Docker world: a Plan rendered to Dockerfiles and a compose file, and carried out."""
