"""The loop that reads history.jsonl; checkers/_kernels says how such kernels are written and built."""
