"""Where nodes live (the backends) and what runs on them (the systems), with the agent that acts on each node."""
