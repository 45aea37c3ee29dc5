"""What all tables of the index hang on.

In: nothing.  Out: SQLAlchemy's collection of tables.  Never: a table.
"""

from sqlalchemy import MetaData

metadata = MetaData()
