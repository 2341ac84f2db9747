"""Holiday names are the same whatever the machine's language, for training and for the client."""

import numpy as np
import pytest

from pipeline.holidays_calendar import holiday_names
from serving.holiday_calendar import holiday_name

CHRISTMAS = 1_735_120_800  # 2024-12-25 10:00 UTC


@pytest.mark.parametrize("language", ["de_DE.UTF-8", "C.UTF-8", ""])
@pytest.mark.parametrize(("country", "name"), [("FR", "Noël"), ("GB", "Christmas Day")])
def test_names_do_not_follow_the_locale(
    language: str, country: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", language)
    monkeypatch.setenv("LANGUAGE", language)
    assert holiday_names(np.array([CHRISTMAS, CHRISTMAS + 7 * 86_400]), country).to_pylist()[0] == name
    assert holiday_name(CHRISTMAS, country) == name


def test_other_days_have_none() -> None:
    assert holiday_names(np.array([CHRISTMAS - 10 * 86_400]), "GB").to_pylist() == [""]
