//! What is left of rustls after the handshake: it keeps the secrets, makes the next keys of them, and stores tickets.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;

use super::record::{Fault, Opener, Sealer};

/// One end of a session.
pub enum Session {
    /// We dialled.
    Client(KernelConnection<ClientConnectionData>),
    /// We were dialled.
    Server(KernelConnection<ServerConnectionData>),
}

impl Session {
    /// The next keys for what we send (RFC 8446, 7.2).
    pub fn next_sealer(&mut self) -> Result<Sealer, Fault> {
        let next = match self {
            Self::Client(session) => session.update_tx_secret(),
            Self::Server(session) => session.update_tx_secret(),
        };
        let (records, secrets) = next.map_err(|_| Fault::Exhausted)?;
        Sealer::new(records, secrets)
    }

    /// The next keys for what the peer sends.
    pub fn next_opener(&mut self) -> Result<Opener, Fault> {
        let next = match self {
            Self::Client(session) => session.update_rx_secret(),
            Self::Server(session) => session.update_rx_secret(),
        };
        let (records, secrets) = next.map_err(|_| Fault::Exhausted)?;
        Opener::new(records, secrets)
    }

    /// Keeps a ticket for the next connection. Only servers give them.
    pub fn keep_ticket(&mut self, ticket: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Client(session) => session.handle_new_session_ticket(ticket).map_err(|_| Fault::Malformed),
            Self::Server(_) => Err(Fault::Unexpected),
        }
    }
}
