"""Every figure that the docs give, with the command that measures it."""
