"""What runs on every node: the agent, in a few files of stdlib Python that travel together (see carrier.py)."""
