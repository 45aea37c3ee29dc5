"""Studies of an order, as other systems name them.

In: Study Instance UIDs, accession numbers.  Out: rows.  Never: a study by half of a number.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from wetread.errors import StorageError
from wetread.store import schema
from wetread.store.studies import STUDY_COLUMNS, StudyRow, study_row

#: More than an order has; one accession number for everything is a default, not a number.
MOST = 16


def find_ordered(
    engine: Engine, study_uids: Collection[str], accession_numbers: Collection[str]
) -> list[StudyRow]:
    """Return the studies that are named: by UID where there is one, else by accession number.

    Raises
    ------
    StorageError
        If the index does not answer.
    """
    study = schema.study.c
    wanted = (
        study.study_instance_uid.in_(tuple(study_uids))
        if study_uids
        else study.accession_number.in_(tuple(accession_numbers))
    )
    query = select(*STUDY_COLUMNS).where(wanted).order_by(study.study_instance_uid).limit(MOST + 1)
    try:
        with engine.connect().execution_options(read_only=True) as connection:
            rows = [study_row(row) for row in connection.execute(query).mappings()]
    except SQLAlchemyError as error:
        raise StorageError("The index cannot be read.", reason=type(error).__name__) from error
    return rows if len(rows) <= MOST else []
