"""The API gateway: routes, takes turns among live instances, and answers in JSON if all fail."""
