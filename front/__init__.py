"""The front door's rooms: the tasks of each noun, and how all of them answer."""
