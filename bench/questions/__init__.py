"""The questions: what does X cost? Each one is a task."""
