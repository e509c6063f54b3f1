//! What an adversary can do to a server: the list of attacks, each within bounds.
//!
//! An attack is a load of good clients, alone and then beside attackers. docs/adversaries.md
//! says what each is for, and what bounds it in the server.

mod kind;
mod run;

pub use kind::{Attack, Strength};
pub(in crate::bench::compare) use run::run;
pub use run::{Attacked, Good};
