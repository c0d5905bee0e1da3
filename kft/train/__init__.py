"""Training: phases, one readable loop, checkpoints. Keras 3's ``fit`` is wrong under tf.distribute."""
