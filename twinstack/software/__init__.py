"""What both worlds run on: root trees, wheels, secrets and configurations, made once."""
