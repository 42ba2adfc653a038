//! The schedulers of a farm, and which of them is taken for the leader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reel_proto::LEADER_METADATA;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A scheduler that does not answer a ping of the connection for so long is taken for gone.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Most schedulers that can be named; a cluster has five at most.
const MOST_SERVERS: usize = 16;

/// Why a list of schedulers cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServers {
    /// Nothing is in it.
    #[error(
        "no scheduler is named: give --server or REEL_SERVER, such as http://10.0.0.1:7101,http://10.0.0.2:7101"
    )]
    None,
    /// Too much is in it.
    #[error("{0} schedulers are named, at most {MOST_SERVERS} are allowed")]
    TooMany(usize),
    /// An entry is no address.
    #[error("`{address}` is no address of a scheduler: {reason}; write it as http://host:port")]
    Address {
        /// The entry.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The addresses of a farm's schedulers; clones share what they learn about the leader.
#[derive(Clone, Debug)]
pub struct Servers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    named: Vec<String>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    address: String,
    /// The next of those named, where the current one does not answer.
    next: usize,
    channels: BTreeMap<String, Channel>,
}

impl Servers {
    /// Reads addresses separated by commas.
    ///
    /// # Errors
    /// There is none, there are too many, or one is no `http://host:port`.
    pub fn parse(list: &str) -> Result<Self, BadServers> {
        let named = list.split(',').map(str::trim).filter(|address| !address.is_empty());
        let named: Vec<String> = named.map(|address| address.trim_end_matches('/').to_owned()).collect();
        if named.len() > MOST_SERVERS {
            return Err(BadServers::TooMany(named.len()));
        }
        let first = named.first().ok_or(BadServers::None)?.clone();
        for address in &named {
            let bad =
                |reason: &str| BadServers::Address { address: address.clone(), reason: reason.to_owned() };
            let endpoint = Endpoint::from_shared(address.clone()).map_err(|error| bad(&error.to_string()))?;
            if endpoint.uri().scheme_str() != Some("http") || endpoint.uri().port().is_none() {
                return Err(bad("it needs http:// and a port"));
            }
        }
        let current = Mutex::new(Current { address: first, next: 1, channels: BTreeMap::new() });
        Ok(Servers(Arc::new(Inner { named, current })))
    }

    /// The addresses as they were given.
    pub fn named(&self) -> &[String] {
        &self.0.named
    }

    /// The addresses as they were given, separated by commas.
    pub fn list(&self) -> String {
        self.0.named.join(",")
    }

    /// The address of the scheduler that is asked now.
    pub fn current(&self) -> String {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).address.clone()
    }

    /// A connection to the scheduler that is asked now.
    pub(crate) fn channel(&self) -> Result<Channel, Status> {
        self.channel_to(&self.current())
    }

    /// A connection to the scheduler at an address.
    pub(crate) fn channel_to(&self, address: &str) -> Result<Channel, Status> {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = current.channels.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|error| Status::unavailable(format!("{address}: {error}")))?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_lazy();
        current.channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Turns to the leader that an answer names, or else to the next scheduler. True where a leader was named.
    pub(crate) fn turn(&self, status: &Status) -> bool {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        let leader = status.metadata().get(LEADER_METADATA).and_then(|leader| leader.to_str().ok());
        match leader.filter(|leader| *leader != current.address) {
            Some(leader) => {
                current.address = leader.to_owned();
                true
            }
            None => {
                current.address = self.0.named[current.next % self.0.named.len()].clone();
                current.next += 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_of_schedulers_is_refused_with_a_way_out() {
        let message = |list: &str| Servers::parse(list).unwrap_err().to_string();
        assert!(message(" ,").contains("REEL_SERVER"));
        for (list, reason) in
            [("host:7101", "host:7101"), ("https://a:1", "it needs http://"), ("http://a", "and a port")]
        {
            assert!(message(list).contains(reason), "{}", message(list));
        }
        let many = vec!["http://a:1"; 17].join(",");
        assert!(message(&many).contains("at most 16"));
    }

    #[test]
    fn a_named_leader_is_asked_next_and_otherwise_all_in_turn() {
        let servers = Servers::parse("http://a:1, http://b:1/").unwrap();
        let mut hint = Status::unavailable("");
        hint.metadata_mut().insert(LEADER_METADATA, "http://c:1".parse().unwrap());
        assert!(servers.turn(&hint));
        assert_eq!(servers.current(), "http://c:1");
        // The leader that was named does not answer, or names itself.
        assert!(!servers.turn(&hint));
        assert_eq!(servers.current(), "http://b:1");
        assert!(!servers.turn(&Status::unavailable("")));
        assert_eq!(servers.current(), "http://a:1");
    }
}
