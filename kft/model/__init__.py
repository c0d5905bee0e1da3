"""Models: pretrained backbones, ordered blocks, what trains, and the head on top."""
