"""Options that only some loaders of tables have, so that the others can say whose they are without importing them."""

__all__ = ["OPTIONS", "about_option"]

OPTIONS: dict[str, frozenset[str]] = {
    "iceberg": frozenset(
        {
            "catalog",
            "maintenance",
            "merge_strategy",
            "overwrite_scope",
            "partition_by",
            "sort_by",
            "table_properties",
            "target_file_size",
        }
    ),
    "delta": frozenset(
        {"location", "overwrite_scope", "partition_by", "storage_options", "table_properties", "target_file_size"}
    ),
    "postgres": frozenset(
        {
            "connect_timeout",
            "connection_params",
            "create_schema_if_not_exists",
            "dbname",
            "host",
            "on_conflict",
            "password",
            "port",
            "ssl_mode",
            "username",
        }
    ),
}
"""By type, what each has beside the options of all."""


def about_option(key: str, kind: str) -> str | None:
    """A sentence on an option that loaders of another type than *kind* have; None where none has it."""
    owners = [name for name, options in OPTIONS.items() if key in options]
    return f"{key!r} is an option of {' and '.join(owners)}, not of {kind}; leave it out" if owners else None
