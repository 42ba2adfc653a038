//! Pure worker agent: events in, actions out.
