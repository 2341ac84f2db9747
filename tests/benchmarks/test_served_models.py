"""The models that the serving benchmarks make answer as every model of aisle does."""

from pathlib import Path

import numpy as np

from benchmarks.served_models import catalogue_requests, save_catalogue
from serving import messages
from serving.predictor import Predictor
from serving.tensors import decode


def test_a_catalogue_of_any_width_answers_its_requests(tmp_path: Path) -> None:
    save_catalogue(tmp_path, 50, 8)
    predictor = Predictor(tmp_path)
    for call in catalogue_requests("bench", 50, 3):
        request = messages.PredictRequest.FromString(call)
        inputs = {name: decode(proto) for name, proto in request.inputs.items()}
        answer = predictor.predict(predictor.signature(request.model_spec.signature_name), inputs)
        assert len(set(answer["item_ids"][0].tolist())) == 20
        assert np.all(np.diff(answer["scores"][0]) <= 0)
    predictor.close()
