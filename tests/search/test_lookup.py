"""Finding studies by name."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from lorasweep.errors import UserError
from lorasweep.search.lookup import StoredStudy, find_study, study_urls
from lorasweep.search.storage import journal_url, open_storage


def begin(path: Path, *names: str) -> str:
    url = journal_url(path)
    for name in names:
        optuna.create_study(study_name=name, storage=open_storage(url))
    return url


def test_a_study_is_found_in_its_folder_with_its_finals(tmp_path):
    url = begin(tmp_path / "studies" / "bear" / "journal.log", "bear", "bear:finals")
    begin(tmp_path / "studies" / "food" / "journal.log", "food")
    found = find_study("bear", tmp_path)
    assert (found.study.study_name, found.finals.study_name, found.url) == ("bear", "bear:finals", url)
    assert find_study("food", tmp_path).finals is None


def test_a_study_in_a_folder_of_another_name_is_found(tmp_path):
    url = begin(tmp_path / "studies" / "monday" / "journal.log", "bear", "food")
    assert study_urls(tmp_path) == {"bear": url, "food": url}
    assert find_study("food", tmp_path).study.study_name == "food"


def test_a_study_with_a_slash_in_its_name_is_listed(tmp_path):
    url = begin(tmp_path / "studies" / "bear" / "first" / "journal.log", "bear/first", "bear/first:changing")
    assert study_urls(tmp_path) == {"bear/first": url}  # a copy that is being made is none


def test_a_folder_without_the_study_of_its_name(tmp_path):
    begin(tmp_path / "studies" / "bear" / "journal.log", "other")
    with pytest.raises(UserError, match=r"no study 'bear' in .*: there is other;"):
        find_study("bear", tmp_path)


def test_looking_makes_nothing(tmp_path):
    with pytest.raises(UserError, match="there is none"):
        find_study("bear", tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        study_urls(tmp_path, f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_dashboards_command_fits_the_storage(tmp_path, monkeypatch, elsewhere):
    journal = tmp_path / "out put" / "studies" / "bear" / "journal.log"
    begin(journal, "bear")
    found = find_study("bear", tmp_path / "out put")
    if elsewhere:
        assert found.dashboard() == f"optuna-dashboard '{journal}'"
        return
    monkeypatch.chdir(tmp_path)
    found.study.set_user_attr("folder", "out put/studies/bear")
    assert found.dashboard() == "optuna-dashboard 'out put/studies/bear/journal.log'"  # no pictures yet
    (journal.parent / "artifacts").mkdir()
    assert found.dashboard().endswith(" --artifact-dir 'out put/studies/bear/artifacts'")


def test_the_dashboard_opens_databases_by_url_and_no_proxy(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    optuna.create_study(study_name="bear", storage=open_storage(url))
    found = find_study("bear", tmp_path, url)
    assert found.dashboard() == f"optuna-dashboard sqlite:///{tmp_path}/s.db"
    assert StoredStudy(found.study, None, "grpc://host:13000").dashboard() is None
    server = StoredStudy(found.study, None, "postgresql://me:secret@host/studies").dashboard()
    assert "secret" not in server and "me:***@host/studies" in server
