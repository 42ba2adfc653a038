//! A farm as its users and workers reach it: any scheduler is asked, the leader answers, and a change of leader is no
//! more than a pause.

mod client;
pub mod events;
mod servers;

pub use client::{Client, ClientError};
pub use servers::{BadServers, Servers};
