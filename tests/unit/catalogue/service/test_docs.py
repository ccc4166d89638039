"""What `docs/catalogue.md` shows is so."""

import re
from pathlib import Path

import pytest
import yaml

from schemas.dataset import FINDINGS, Dataset, FromHttp
from serve.catalogue.taking import take
from tests.unit.catalogue.entries import facts
from tests.unit.catalogue.service.declared import LAMPS, LON, job

PAGE = (Path(__file__).parents[4] / "docs" / "catalogue.md").read_text()


def test_the_example_is_a_dataset():
    (said,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    ((_, fields),) = yaml.safe_load(said).items()
    assert isinstance(Dataset.model_validate(fields).connector, FromHttp)


def test_every_kind_of_finding_is_explained():
    table = PAGE.partition("| kind | means |")[2].partition("\n\n")[0]
    assert {
        name for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([a-z-]+)`", cell)
    } == FINDINGS


@pytest.mark.parametrize(("column", "text"), [(LON, "?127.718577"), (LAMPS, '"1,234개"')])
def test_the_cells_that_are_said_to_be_mended_are(column, text):
    (found,) = take(job(facts(columns=(column,)), f"{column.id}\n{text}\n")).refresh.findings
    assert found.kind == "mended"
