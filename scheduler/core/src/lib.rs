//! Pure scheduler: state, commands, apply, plan, placement, leases, invariants.
