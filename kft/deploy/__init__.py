"""What ships: artifacts on disk, proof of their files, and the shelf that keeps their versions."""
