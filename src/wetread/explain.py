"""Tell in words which models ran on a study, and why or why not.

In: the store, a study.  Out: text.  Never: patient names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wetread.errors import ConfigError
from wetread.store import Store
from wetread.store.studies import RevisionRow, StudyRow


def explain_study(store: Store, study: str) -> str:
    """Return the explanation of the newest revision.

    Parameters
    ----------
    study
        Study Instance UID, accession number, or the key in a page's address.

    Raises
    ------
    ConfigError
        If no such study is here.
    """
    return "\n".join(explain_row(store, find_study(store, study)))


def explain_row(store: Store, row: StudyRow) -> list[str]:
    """Return the lines of the explanation."""
    lines = [f"Study {row.study_instance_uid}: {row.state.value}, {row.instance_count} images"]
    revisions = store.studies.list_revisions(row.study_instance_uid)
    if not revisions:
        return [*lines, "Not yet complete: no model was asked."]
    return [*lines, *_revision_lines(revisions[-1])]


def find_study(store: Store, study: str) -> StudyRow:
    """Return the row of a study, named as above; raises ConfigError where it is not here."""
    studies = store.studies
    row = studies.find(study) or studies.find_by_accession(study) or studies.find_by_key(study)
    if row is not None:
        return row
    raise ConfigError("No such study is here: check the UID and --data.")


def _revision_lines(revision: RevisionRow) -> list[str]:
    lines = [f"Revision {revision.revision}: {revision.cause}"]
    if revision.match is None:
        return [*lines, "Models have not been asked yet."]
    for model in revision.match.get("models", []):
        lines += _model_lines(model)
    return lines


def _model_lines(model: Mapping[str, Any]) -> list[str]:
    lines = [f"  {model['name']}: {model['reason']}"]
    lines += [f"    {problem['code']}: {problem['message']}" for problem in model.get("problems", [])]
    for series in model.get("series", []):
        chosen = series["series_instance_uid"] == model.get("chosen_series")
        lines.append(f"    {'*' if chosen else '-'} {series['description'] or series['series_instance_uid']}")
        lines += [f"        {problem['code']}: {problem['message']}" for problem in series["problems"]]
    return lines
