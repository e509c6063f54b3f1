//! What sets the models of this server apart in a comparison: the one place
//! that a new model has to be described in.

use crate::bench::echo::EchoModel;
use crate::server::{Model, WORKERS_MAX};

/// The model whose cost over its echo counts as protocol and store, because it
/// does both on the thread that owns the socket.
pub(in crate::bench) const PROTOCOL_AND_STORE: Model = Model::Epoll;

/// A model as a comparison sees it.
pub(in crate::bench) struct Profile {
    /// The echo that moves bytes in the same way.
    pub(super) echo: EchoModel,
    /// The option of `serve` for the most connections.
    pub(super) connections_option: &'static str,
    /// The highest value that the option takes.
    pub(super) connections_max: usize,
    /// The work that neither the echo nor protocol and store account for;
    /// `None` if there is no such work.
    pub(in crate::bench) own_cost: Option<OwnCost>,
}

/// The names of what a model costs beyond its echo, the protocol and the store.
pub(in crate::bench) struct OwnCost {
    /// In the head of a table.
    pub(in crate::bench) short: &'static str,
    /// In a sentence about the model.
    pub(in crate::bench) name: &'static str,
    /// In a sentence about all models.
    pub(in crate::bench) clause: &'static str,
}

impl Profile {
    pub(in crate::bench) fn of(model: Model) -> Self {
        match model {
            Model::Threads => Self {
                echo: EchoModel::Threads,
                connections_option: "--workers",
                connections_max: WORKERS_MAX,
                own_cost: Some(OwnCost {
                    short: "hand-off",
                    name: "the hand-off to the store thread",
                    clause: "in the threads model, the hand-off to the store thread and back",
                }),
            },
            Model::Tokio => Self {
                own_cost: Some(OwnCost {
                    short: "runtime",
                    name: "the runtime",
                    clause: "in the tokio model the runtime",
                }),
                ..Self::of_event_loops()
            },
            Model::Epoll => Self::of_event_loops(),
        }
    }

    fn of_event_loops() -> Self {
        Self {
            echo: EchoModel::Epoll,
            connections_option: "--connections-max",
            connections_max: usize::MAX,
            own_cost: None,
        }
    }
}

/// The costs that only some models have, in the order of the models.
pub(in crate::bench) fn own_costs() -> impl Iterator<Item = OwnCost> {
    let models = Model::ALL.into_iter();
    models.filter_map(|model| Profile::of(model).own_cost)
}
