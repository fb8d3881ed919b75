"""What a run showed: one self-contained HTML page, and the verdict in plain words for a terminal."""
