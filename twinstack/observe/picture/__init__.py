"""The topology as it is, compared with its plan: one model, four drawings."""
