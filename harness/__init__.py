"""The kernel (op, history, verdict, errors, protocols, config) and the shell that drives a run."""
