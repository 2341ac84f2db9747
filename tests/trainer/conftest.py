"""What several of the trainer's tests share: one exported model, as it takes a while to make."""

import pytest
from judged_shop import Judged, judge_shop
from served_shop import ServedShop, build_shop, encoder_is_there, served_config

from trainer.exported_model import ExportedModel


@pytest.fixture(scope="session")
def served_shop(tmp_path_factory: pytest.TempPathFactory) -> ServedShop:
    config = served_config()
    if not encoder_is_there(config):
        pytest.skip("the text encoder is not in .models: run `make setup`")
    return build_shop(tmp_path_factory.mktemp("served"), config)


@pytest.fixture(scope="session")
def exported(served_shop: ServedShop) -> ExportedModel:
    return ExportedModel(str(served_shop.folder))


@pytest.fixture(scope="session")
def judged(served_shop: ServedShop, exported: ExportedModel, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge_shop(tmp_path_factory.mktemp("judged"), served_shop, exported)
