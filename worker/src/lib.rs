//! Worker shell: agent, runner supervision, store transfer.
