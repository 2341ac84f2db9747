"""What people write instead of a model server: FastAPI over the loaded signature.

    python -m benchmarks.serving_rival MODEL_DIR PORT SIGNATURE

POST / takes {"input name": values} and answers {"output name": values}. Prints a line once it listens.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the tokenisers)
import uvicorn
from fastapi import FastAPI


def made_app(folder: str, name: str) -> FastAPI:
    """Makes the application.

    Args:
      folder: of the SavedModel.
      name: of the signature.
    """
    model = tf.saved_model.load(folder)
    signature = model.signatures[name]
    dtypes = {alias: spec.dtype for alias, spec in signature.structured_input_signature[1].items()}
    app = FastAPI()
    app.state.model = model  # a signature alone does not keep its variables

    @app.post("/")
    def predict(inputs: dict[str, Any]) -> dict[str, Any]:
        outputs = signature(**{alias: tf.constant(values, dtypes[alias]) for alias, values in inputs.items()})
        return {alias: _plain(value.numpy()) for alias, value in outputs.items()}

    return app


def _plain(values: Any) -> Any:
    """Makes an array fit for JSON: texts for bytes, and a number for minus infinity."""
    if values.dtype == object:
        return np.char.decode(values.astype(bytes), "utf-8").tolist()
    return np.nan_to_num(values).tolist()


def main() -> None:
    """Serves until it is stopped."""
    folder, port, name = sys.argv[1:]
    config = uvicorn.Config(made_app(folder, name), host="127.0.0.1", port=int(port), log_level="error")
    server = uvicorn.Server(config)
    print("listening soon", flush=True)
    server.run()


if __name__ == "__main__":
    main()
