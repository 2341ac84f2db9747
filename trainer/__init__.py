"""Trains the two towers, measures them and exports the SavedModel.

TFRS runs on the older Keras 2 (`tf_keras`), everything of ours on Keras 3. TensorFlow decides which of them
`tf.keras` is when it is first used, by the environment; so this package says it before any of its modules
can import TensorFlow. `trainer.tfrs_adapter` checks that it came in time.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
