//! The models by name.

use std::fmt;
use std::str::FromStr;

/// How bytes move between the sockets and the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// A blocking accept loop, a fixed pool of workers, one store thread.
    #[default]
    Threads,
    /// A task per connection on an async runtime; feature `tokio`.
    Tokio,
    /// One event loop per core; feature `epoll`.
    Epoll,
}

impl Model {
    /// Every model, the baseline first.
    pub const ALL: [Self; 3] = [Self::Threads, Self::Tokio, Self::Epoll];

    /// The model's name on the command line, and that of its cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Tokio => "tokio",
            Self::Epoll => "epoll",
        }
    }

    /// Why the model has no store that is elsewhere, for people.
    #[cfg(feature = "cluster")]
    pub fn no_remote_store(self) -> String {
        format!(
            "the {self} model keeps entries in memory only, because nothing in it can wait for a \
             network without keeping others waiting; leave out --model, or say --model tokio"
        )
    }

    /// Whether this build has the model.
    pub fn is_built(self) -> bool {
        match self {
            Self::Threads => true,
            Self::Tokio => cfg!(feature = "tokio"),
            Self::Epoll => cfg!(feature = "epoll"),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Model {
    type Err = String;

    /// Fails with a sentence for a name that is no model's, and for a model
    /// that this build does not have.
    fn from_str(name: &str) -> Result<Self, String> {
        match Self::ALL.into_iter().find(|model| model.name() == name) {
            Some(model) if model.is_built() => Ok(model),
            Some(model) => Err(not_built(model)),
            None => Err(format!(
                "there is no model {name:?}; choose one of {}",
                Self::ALL.map(Self::name).join(", ")
            )),
        }
    }
}

pub(super) fn not_built(model: Model) -> String {
    format!(
        "this build does not have the {model} model; \
         `cargo build --release --features {model}` makes one that has"
    )
}
