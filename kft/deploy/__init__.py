"""What ships: a model as a folder that answers without kft, proof of it, and the shelf that keeps its versions."""
