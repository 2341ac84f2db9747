"""What all tests need before the first of them imports anything."""

import os

# TensorFlow decides once in a process which Keras `tf.keras` is; TFRS needs the older one.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
