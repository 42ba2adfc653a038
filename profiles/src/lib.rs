//! Profile schema, parser, validation and the catalog.
