"""The topology as it is, beside what was declared: one model, four drawings."""
