"""Runs as one self-contained HTML page: tables, curves, latents, and episodes as strips of pictures."""
