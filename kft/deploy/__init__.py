"""What ships: a model as a folder that answers without kft, and the proof that it is the model that was evaluated."""
