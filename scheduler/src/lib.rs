//! Scheduler shell: Raft on sled, driver, clock, configuration.
