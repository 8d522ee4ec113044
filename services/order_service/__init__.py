"""The order service: carts in Redis, orders in PostgreSQL."""
