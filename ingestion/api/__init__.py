"""The REST sidecar: thin over the files of config/ and over Dagster, without a state of its own."""
