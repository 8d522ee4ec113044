"""The applications of the stack; they import nothing of twinstack."""
