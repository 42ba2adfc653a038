//! The farm as the command reaches it.

use reel_client::{Client, Servers};

use crate::args::ServerChoice;
use crate::exit::Stop;

/// A client of the farm that was named.
pub(crate) fn client(choice: &ServerChoice) -> Result<Client, Stop> {
    let servers = Servers::parse(&choice.list).map_err(|error| Stop::usage(error.to_string()))?;
    Ok(Client::new(servers))
}
