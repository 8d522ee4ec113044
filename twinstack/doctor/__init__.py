"""What this machine lacks to run both worlds, and the command that fixes each item.

`facts` observes the host, `checks` judges the facts, `report` shows the result; only `facts` acts.
"""
