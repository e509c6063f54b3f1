//! The entries, what each command does to them, and the batch that carries
//! commands there and replies back.

mod batch;
#[cfg(feature = "data")]
mod change;
mod entries;
mod executor;
mod garbage;
#[cfg(feature = "data")]
mod scan;
mod segment;
pub mod shards;
mod slot;
mod table;
mod tally;

pub use batch::{BATCH_LEN_MAX, Batch, REPLIES_LEN_MAX};
#[cfg(feature = "data")]
pub use change::Change;
pub use entries::Store;
pub(crate) use executor::broken_error;
pub use executor::{Executor, StoreLost};
pub use garbage::Garbage;
#[cfg(feature = "data")]
pub(crate) use scan::{Found, Position};
pub(crate) use table::StoreSize;
pub(crate) use tally::{ANSWERS, Tally};
#[cfg(feature = "metrics")]
pub(crate) use tally::{COMMANDS, STATUSES};
