"""Why a connection passes or not: one real attempt, what the kernel did with it, the cause."""
