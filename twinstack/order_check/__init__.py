"""Orders under fire: a load whose history is kept whole, and a judge of that history."""
