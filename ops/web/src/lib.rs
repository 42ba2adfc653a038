//! What browsers show of a farm: the page that schedulers serve, and the report of a job as one file.

mod message;
mod server;

pub use message::json;
pub use server::routes;

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its media type.
    pub mime: &'static str,
    /// What is in it.
    pub body: &'static str,
}

/// A report.
pub fn report(_data: &str) -> String {
    String::new()
}

/// A file of the page, by its name.
pub fn asset(_path: &str) -> Option<Asset> {
    None
}
