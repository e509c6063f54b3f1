//! What passes between the accept loop and the event loops.

use std::net::TcpStream;

use crate::server::connection_limit::Permit;

/// What the accept loop has for a loop.
pub(super) enum Incoming {
    Connection(TcpStream, Permit<Owner>),
    /// The connection with this token is to end.
    Eviction(usize),
}

/// Where a connection is: which of the loops has it, and under which token.
/// No process has more descriptors than 32 bits can count.
pub(super) struct Owner {
    pub(super) number: u32,
    pub(super) token: u32,
}
