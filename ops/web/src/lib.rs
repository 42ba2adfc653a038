//! What browsers show of a farm: the page that schedulers serve, and the report of a job as one file.

mod assets;
mod message;
mod server;

pub use assets::{Asset, asset, report};
pub use message::json;
pub use server::routes;
