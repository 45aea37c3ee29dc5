"""Alembic's entry: run the migrations on the connection that ``migration.migrate`` holds.

In: a connection.  Out: a migrated schema.  Never: a connection of its own.
"""

from alembic import context

from wetread.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
