"""GET /metrics of both worlds: the watchers' samples and the services' own, as Prometheus reads."""
